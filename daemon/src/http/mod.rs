//! What every route of the HTTP port shares: who may use it, and how it says no.

mod gate;
mod origin;
pub mod peer;
pub mod problem;

pub use gate::Gate;
pub use origin::{ForeignOrigin, OriginCheck};
pub use problem::Problem;

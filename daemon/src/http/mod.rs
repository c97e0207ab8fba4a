//! What every route of the HTTP port shares: who may use it, and how it says no.

pub mod limits;
mod origin;
pub mod peer;
pub mod problem;
pub mod sessions;

pub use origin::{ForeignOrigin, OriginCheck, is_from_another_site};
pub use problem::Problem;

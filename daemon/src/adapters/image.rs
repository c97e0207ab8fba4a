//! Images that every vendor's models can look at. One that a vendor refused would end the conversation,
//! so what is none is not sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Whether it is one by its media type.
pub fn is_typed(media: &str) -> bool {
    TYPES.contains(&media)
}

/// Whether it can be sent as one; `data` is in base64.
pub fn is_shown(media: &str, data: &str) -> bool {
    is_typed(media) && is_base64(data)
}

pub fn is_base64(data: &str) -> bool {
    !data.is_empty() && STANDARD.decode(data).is_ok()
}

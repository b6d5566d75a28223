//! What a browser is told about safety: the policy of each page (CSP) and the site's own headers. It reads finished bytes
//! and settings, and gives values of fields.

mod policy;
mod rules;

pub use policy::{
    SheetReading, SheetSources, add_policy, find_sheet_sources, page_policy, policy_beside_meta, read_sheet,
};
pub use rules::{field_value, frame_ancestors};

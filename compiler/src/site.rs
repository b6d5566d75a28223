//! The site as values: its pages, and the paths at which everything is published.

mod route;

pub use route::{RoutePath, percent_decode, percent_encode};

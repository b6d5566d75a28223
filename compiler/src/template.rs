//! The template language up to the tree: text is parsed once, and the partials that it names are looked up. Rendering
//! is another module's.

mod builtin;
mod code;
mod element;
mod lexer;
mod meant;
mod parser;
mod placeholder;
mod set;
mod syntax;

pub(crate) use builtin::check_query_attribute;
pub use builtin::{BLOG_ITEM_PARTIAL, IMAGE_ATTRIBUTES, is_reserved};
pub(crate) use code::margin;
pub use set::{ParsedPartial, TemplateSet};
pub(crate) use syntax::Origin;
pub use syntax::{
    Asks, Asset, Attribute, Block, Body, Each, If, Image, ImageOrigin, Kind, Name, Node, Part, Placeholder, SlotFill,
    Tag, Target, Template, Value, find_attribute,
};

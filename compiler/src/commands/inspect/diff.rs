//! What differs between two bundles: which routes came, which went, and which changed, by how many bytes.

use std::collections::BTreeMap;

use bundle::{BundleView, Encoding, Route};
use serde_json::{Value, json};

use super::kind_name;

/// The bytes of a body in each coding that there is.
type Sizes = BTreeMap<&'static str, usize>;

/// What differs between two bundles, each list by path.
pub(super) struct Difference {
    came: Vec<Side>,
    went: Vec<Side>,
    changed: Vec<(Side, Side, Vec<&'static str>)>,
    same_count: usize,
}

/// A route in one of the bundles.
struct Side {
    path: String,
    kind: &'static str,
    status: u16,
    sizes: Sizes,
}

impl Side {
    fn of(route: &Route<'_>) -> Self {
        let sizes = route.variants().map(|variant| (variant.encoding().token(), variant.body_range().len()));
        let path = String::from_utf8_lossy(route.path()).into_owned();
        Self { path, kind: kind_name(route.kind()), status: route.status(), sizes: sizes.collect() }
    }

    fn to_json(&self) -> Value {
        json!({ "path": self.path, "kind": self.kind, "status": self.status, "bytes": self.sizes })
    }
}

impl Difference {
    /// Compares two bundles.
    pub(super) fn between(old: &BundleView<Vec<u8>>, new: &BundleView<Vec<u8>>) -> Self {
        let mut difference = Self { came: Vec::new(), went: Vec::new(), changed: Vec::new(), same_count: 0 };
        // A pattern is found by its path among all routes only.
        let old_routes: BTreeMap<_, _> = old.routes().map(|route| (route.path(), route)).collect();
        let new_routes: BTreeMap<_, _> = new.routes().map(|route| (route.path(), route)).collect();
        for (path, route) in &new_routes {
            let Some(before) = old_routes.get(path) else {
                difference.came.push(Side::of(route));
                continue;
            };
            let what = what_changed(before, route);
            if what.is_empty() {
                difference.same_count += 1;
            } else {
                difference.changed.push((Side::of(before), Side::of(route), what));
            }
        }
        let went = old_routes.iter().filter(|(path, _)| !new_routes.contains_key(*path));
        difference.went = went.map(|(_, route)| Side::of(route)).collect();
        difference
    }

    /// A line a route, then the sums.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for (mark, sides) in [('+', &self.came), ('-', &self.went)] {
            for side in sides {
                let sizes: Vec<_> = side.sizes.iter().map(|(coding, len)| format!("{coding} {len}")).collect();
                text +=
                    &[&format!("{mark} {:<8} {}  ", side.kind, side.path), sizes.join(", ").as_str(), "\n"].concat();
            }
        }
        for (before, after, what) in &self.changed {
            let codings = before.sizes.keys().chain(after.sizes.keys()).collect::<std::collections::BTreeSet<_>>();
            let sizes = codings.into_iter().filter_map(|coding| change(coding, before, after));
            let sizes = sizes.collect::<Vec<_>>().join(", ");
            let sizes = if sizes.is_empty() { sizes } else { format!(": {sizes}") };
            text +=
                &[&format!("~ {:<8} {}  ", after.kind, after.path), what.join(", ").as_str(), &sizes, "\n"].concat();
        }
        let counts = [(self.came.len(), "came"), (self.went.len(), "went"), (self.changed.len(), "changed")];
        let counts = counts.map(|(count, what)| format!("{count} {what}")).join(", ");
        let sums = Encoding::ALL.map(Encoding::token).map(|coding| (coding, self.growth(coding)));
        let sums =
            sums.iter().filter(|(_, growth)| *growth != 0).map(|(coding, growth)| format!("{coding} {growth:+}"));
        let sums = sums.collect::<Vec<_>>().join(", ");
        let sums = if sums.is_empty() { "no byte more or less".to_owned() } else { format!("bytes: {sums}") };
        text + &format!("{counts}, {} as before; {sums}\n", self.same_count)
    }

    /// The same as one JSON object.
    pub(super) fn to_json(&self) -> String {
        let list = |sides: &[Side]| sides.iter().map(Side::to_json).collect::<Value>();
        let changed = self.changed.iter().map(|(before, after, what)| {
            json!({ "path": after.path, "what": what, "before": before.to_json(), "after": after.to_json() })
        });
        let growth: BTreeMap<_, _> =
            Encoding::ALL.map(|encoding| (encoding.token(), self.growth(encoding.token()))).into();
        let whole = json!({
            "came": list(&self.came),
            "went": list(&self.went),
            "changed": changed.collect::<Value>(),
            "same_count": self.same_count,
            "growth": growth,
        });
        format!("{whole}\n")
    }

    /// Bytes more in one coding, or less.
    fn growth(&self, coding: &str) -> i64 {
        let sum = |sides: &mut dyn Iterator<Item = &Side>| -> i64 {
            sides.filter_map(|side| side.sizes.get(coding)).map(|len| i64::try_from(*len).unwrap_or(i64::MAX)).sum()
        };
        let after = sum(&mut self.came.iter().chain(self.changed.iter().map(|(_, after, _)| after)));
        after - sum(&mut self.went.iter().chain(self.changed.iter().map(|(before, ..)| before)))
    }
}

/// In what two routes at one path differ.
fn what_changed(before: &Route<'_>, after: &Route<'_>) -> Vec<&'static str> {
    let mut what = Vec::new();
    if before.status() != after.status() {
        what.push("status");
    }
    if before.kind() != after.kind() {
        what.push("kind");
    }
    if before.location() != after.location() {
        what.push("location");
    }
    if before.identity().body() != after.identity().body() {
        what.push("body");
    }
    let codings = |route: &Route<'_>| route.variants().map(|variant| variant.encoding()).collect::<Vec<_>>();
    if codings(before) != codings(after) {
        what.push("codings");
    }
    // Lengths and entity tags follow from the body.
    let fields = |route: &Route<'_>| -> Vec<String> {
        let fields = String::from_utf8_lossy(route.identity().head().fields()).into_owned();
        fields.lines().filter(|line| !line.starts_with("ETag: ")).map(str::to_owned).collect()
    };
    if fields(before) != fields(after) {
        what.push("head");
    }
    what
}

/// `br 400 → 420 (+20)`, or nothing if a coding's length is as it was.
fn change(coding: &str, before: &Side, after: &Side) -> Option<String> {
    match (before.sizes.get(coding), after.sizes.get(coding)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) => {
            let growth = i64::try_from(*new).unwrap_or(i64::MAX) - i64::try_from(*old).unwrap_or(i64::MAX);
            Some(format!("{coding} {old} → {new} ({growth:+})"))
        }
        (Some(old), None) => Some(format!("{coding} {old} → none")),
        (None, Some(new)) => Some(format!("{coding} none → {new}")),
        (None, None) => None,
    }
}

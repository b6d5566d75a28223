//! The name that was probably meant, and the names that there are.

/// Names longer than this get no suggestion: the work grows with the square of the length. Guessed.
const NAME_CHARS_MAX: usize = 80;

/// The candidate that is closest to `name`, if it is close enough to be meant; the first of several.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().take(NAME_CHARS_MAX + 1).collect();
    if name.len() > NAME_CHARS_MAX {
        return None;
    }
    let name_letters = count_letters(&name);
    let mut best = None;
    let mut best_distance = usize::MAX;
    for candidate in candidates {
        let letters: Vec<char> = candidate.chars().take(NAME_CHARS_MAX + 1).collect();
        let bound = name.len().max(letters.len()).saturating_sub(shared_chars(&name, &letters)).div_ceil(3);
        if letters.len() > NAME_CHARS_MAX || name.len().abs_diff(letters.len()) > bound {
            continue;
        }
        if letters_apart(&name_letters, &count_letters(&letters)) > 2 * bound {
            continue;
        }
        let distance = edit_distance(&name, &letters);
        if distance > 0 && distance <= bound && distance < best_distance {
            best_distance = distance;
            best = Some(candidate);
        }
    }
    best
}

/// The characters of folders and endings that two paths have in common and that say nothing of what was meant. A file of the
/// same name in another folder is likely meant, however far that is.
fn shared_chars(name: &[char], other: &[char]) -> usize {
    let file_start = |path: &[char]| path.iter().rposition(|c| *c == '/').map_or(0, |slash| slash + 1);
    if name[file_start(name)..] == other[file_start(other)..] {
        return 0;
    }
    let same_start = name.iter().zip(other).take_while(|(a, b)| a == b).count();
    let folders = file_start(&name[..same_start]);
    let same_end = name.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    let end = &name[name.len() - same_end..];
    let ending = end.iter().rposition(|c| *c == '.').map_or(0, |dot| end.len() - dot);
    (folders + ending).min(name.len().min(other.len()))
}

/// How often each letter occurs, those apart by 64 taken together.
fn count_letters(word: &[char]) -> [u8; 64] {
    let mut counts = [0; 64];
    for letter in word {
        counts[*letter as usize % 64] += 1;
    }
    counts
}

/// How many letters only one of two words has. Each edit changes at most two, which spares most words the closer look.
fn letters_apart(a: &[u8; 64], b: &[u8; 64]) -> usize {
    a.iter().zip(b).map(|(a, b)| usize::from(a.abs_diff(*b))).sum()
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
fn edit_distance(from: &[char], to: &[char]) -> usize {
    let mut before_last = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut current = vec![0; to.len() + 1];
    for row in 0..from.len() {
        current[0] = row + 1;
        for column in 0..to.len() {
            let replaced = last[column] + usize::from(from[row] != to[column]);
            let mut distance = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && from[row] == to[column - 1] && from[row - 1] == to[column] {
                distance = distance.min(before_last[column - 1] + 1);
            }
            current[column + 1] = distance;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut current);
    }
    last[to.len()]
}

/// Whether one letter too many, too few or in the wrong place, or only the case, parts a name from a known one. In a
/// short name one letter replaced makes another word: `data` is no `date`.
pub fn is_slip(name: &str, known: &str) -> bool {
    let (name, known) = (name.as_bytes(), known.as_bytes());
    if name.eq_ignore_ascii_case(known) {
        return name != known;
    }
    let same_start = name.iter().zip(known).take_while(|(a, b)| a == b).count();
    let same_end = name.iter().rev().zip(known.iter().rev()).take_while(|(a, b)| a == b).count();
    match (name.len(), known.len()) {
        (longer, length) if longer == length + 1 => same_start + same_end >= length,
        (shorter, length) if shorter + 1 == length => same_start + same_end >= shorter,
        (length, other) if length == other && same_start + same_end == length - 1 => length >= 5,
        (length, other) if length == other && same_start + same_end == length - 2 => {
            name[same_start] == known[same_start + 1] && name[same_start + 1] == known[same_start]
        }
        _ => false,
    }
}

/// A message with more names than this isn't read. Guessed.
const NAMES_SHOWN_COUNT: usize = 20;

/// Names in backticks, with commas between; the first of very many.
pub fn list_names<S: AsRef<str>>(names: &[S]) -> String {
    let shown = names.iter().take(NAMES_SHOWN_COUNT).map(|name| format!("`{}`", name.as_ref()));
    let list = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_SHOWN_COUNT) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        // A wrong guess costs more than none.
        let names = ["card.html", "blog/card.html", "footer.html", "nav.html"];
        assert_eq!(nearest("crad.html", names), Some("card.html"));
        assert_eq!(nearest("foter.html", names), Some("footer.html"));
        assert_eq!(nearest("gallery.html", names), None);
        assert_eq!(nearest("titel", ["title", "date"]), Some("title"));
        assert_eq!(nearest("x", ["title", "date"]), None);
        assert_eq!(nearest(&"a".repeat(100_000), names), None);
    }

    #[test]
    fn long_folders_and_the_same_ending_make_no_path_alike() {
        // `none.png` was said to be `flow.svg`, because they lie in one folder.
        let paths = ["/static/img/flow.svg", "/static/img/a-cat.jpg", "/static/app.css", "/about"];
        assert_eq!(nearest("/static/img/none.png", paths), None);
        assert_eq!(nearest("/static/img/dog.jpg", paths), None);
        assert_eq!(nearest("/static/img/acat.jpg", paths), Some("/static/img/a-cat.jpg"));
        assert_eq!(nearest("/static/css/app.css", paths), Some("/static/app.css"));
        assert_eq!(nearest("/abuot", paths), Some("/about"));
        assert_eq!(nearest("about", paths), Some("/about"));
    }

    #[test]
    fn a_slip_of_one_letter_is_recognised() {
        // A warning for a field that is meant so would be noise in every build.
        for slip in ["datee", "dat", "daet", "Date", "dtae"] {
            assert!(is_slip(slip, "date"), "{slip}");
        }
        for other in ["date", "data", "d", "", "da", "gate"] {
            assert!(!is_slip(other, "date"), "{other}");
        }
        assert!(is_slip("discription", "description"));
    }
}

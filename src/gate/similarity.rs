//! Near misses of misspelt names.

use super::diff;

/// Returns the word of `known` that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().filter(|it| *it != word).map(|it| (diff::likeness(word, it), it));
    let best = near.filter(|(likeness, _)| *likeness >= 0.6);
    // Of several that are as near, the first of the alphabet.
    best.max_by(|one, other| one.0.total_cmp(&other.0).then(other.1.cmp(one.1))).map(|it| it.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_has_a_neighbour() {
        let known = ["approvals", "tests", "coverage"];
        assert_eq!(nearest("aprovals", known), Some("approvals"));
        assert_eq!(nearest("test", known), Some("tests"));
        assert_eq!(nearest("deny", known), None);
    }
}

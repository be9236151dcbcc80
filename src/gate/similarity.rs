//! Near misses of misspelt names (`similar` lives here).

/// Returns the word of `known` that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known = known.into_iter().filter(|it| *it != word).collect::<Vec<_>>();
    similar::get_close_matches(word, &known, 1, 0.6).first().copied()
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

//! The suggestions of an error: the word that the operator may have meant, or all known words.

/// The word most similar to the typed one, if any is similar enough.
pub(super) fn nearest<'w>(typed: &str, words: &[&'w str]) -> Option<&'w str> {
    let likeness = |word: &str| strsim::jaro_winkler(typed, word);
    let best = words.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    // The threshold was found by trial: `tenent`, `endpont`, `max_event` and `listen_addr` pass, `colour` for `cluster`
    // does not.
    (likeness(best) > 0.8).then_some(best)
}

/// The words in backquotes, sorted, separated by commas.
pub(super) fn list(words: &[&str]) -> String {
    let mut words = words.to_vec();
    words.sort_unstable();
    format!("`{}`", words.join("`, `"))
}

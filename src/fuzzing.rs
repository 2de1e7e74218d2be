//! The functions that the fuzz targets in `fuzz/` call. Each takes any bytes, and fails if something does not hold.
//!
//! They exist with the feature `fuzzing`, and for tests. The tests feed every input in `fuzz/corpus` to its target,
//! so every test run repeats an input that failed once.

/// A line of the log.
pub fn lines(data: &[u8]) {
    crate::event::fuzz_tests::lines(data);
}

/// The body of a webhook request, split into lines.
pub fn split(data: &[u8]) {
    crate::event::fuzz_tests::split(data);
}

/// A compressed backup, read from anywhere.
pub fn gzip(data: &[u8]) {
    crate::input::fuzz_tests::gzip(data);
}

/// A backup compressed by zstd, xz or bzip2, read from anywhere.
pub fn packed(data: &[u8]) {
    crate::input::fuzz_tests::packed(data);
}

/// The checkpoint's file.
pub fn checkpoint(data: &[u8]) {
    crate::checkpoint::fuzz_tests::checkpoint(data);
}

/// What a back end answers to a push, a bulk request or a look-up.
pub fn answers(data: &[u8]) {
    crate::output::fuzz_tests::answers(data);
}

/// A line as the document that Elasticsearch gets.
pub fn documents(data: &[u8]) {
    crate::output::fuzz_tests::documents(data);
}

/// A line on its way out of the node, through policy, filter, redaction and shrinking.
pub fn leaving(data: &[u8]) {
    crate::transform::fuzz_tests::leaving(data);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Each target with every input kept for it; the name of the input is printed where one fails.
    fn check(name: &str, target: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut count = 0;
        for entry in fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 2, "{count} inputs for {name}");
    }

    #[test]
    fn every_line_in_the_corpus_is_read_as_it_should() {
        check("lines", super::lines);
    }

    #[test]
    fn every_body_in_the_corpus_is_split_as_it_should() {
        check("split", super::split);
    }

    #[test]
    fn every_backup_in_the_corpus_is_read_as_it_should() {
        check("gzip", super::gzip);
    }

    #[test]
    fn every_backup_of_other_compressions_in_the_corpus_is_read_as_it_should() {
        check("packed", super::packed);
    }

    #[test]
    fn every_checkpoint_in_the_corpus_is_read_as_it_should() {
        check("checkpoint", super::checkpoint);
    }

    #[test]
    fn every_answer_in_the_corpus_has_a_verdict_that_holds() {
        check("answers", super::answers);
    }

    #[test]
    fn every_line_in_the_corpus_leaves_as_it_should() {
        check("leaving", super::leaving);
    }

    #[test]
    fn every_line_in_the_corpus_becomes_a_document() {
        check("documents", super::documents);
    }
}

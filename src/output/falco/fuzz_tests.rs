//! What holds for any answer at all.

use super::verdict::judge;
use crate::output::Verdict;
use crate::output::http::Response;

/// Only an empty 200 delivers, only Falco's own words refuse, and nothing is in doubt, since nobody can be asked.
pub(crate) fn answer(response: &Response) -> Verdict {
    let verdict = judge(response);
    match &verdict {
        Verdict::Delivered => assert!(response.status == 200 && response.body.is_empty()),
        Verdict::TooLarge { own, .. } => {
            let words = response.body.trim_ascii_start().starts_with(b"bad request: ");
            assert!(!own || (response.status == 400 && words), "{response:?}");
        }
        Verdict::Retry { .. } | Verdict::Stop { .. } => {}
        other => panic!("{other:?}"),
    }
    verdict
}

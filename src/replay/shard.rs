//! `--shard I/N`: splits the files among several replays, on any machines.

use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::input::Listed;

/// One shard of several.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shard {
    index: u64,
    of: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write the shard and their number, such as 0/8 to 7/8".to_owned();
        let (index, of) = text.split_once('/').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let (index, of) = (number(index)?, number(of)?);
        if index < of {
            return Ok(Self { index, of });
        }
        Err(match of {
            0 => wrong(),
            _ => format!("shards are counted from 0: the last of {of} is {}/{of}", of - 1),
        })
    }
}

impl Shard {
    /// Whether a file belongs to this shard. Depends on its identity, which is the same everywhere: its first event,
    /// or its name if it has none.
    pub(super) fn takes(self, file: &Listed) -> bool {
        if file.keyed {
            let name = file.name();
            self.takes_key(name.strip_suffix(".gz").unwrap_or(&name).as_bytes())
        } else {
            self.takes_key(&file.fingerprint().0)
        }
    }

    fn takes_key(self, key: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(key).into();
        let number =
            hash.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        number % self.of == self.index
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shard_is_one_of_several_counted_from_0() {
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, of: 8 }));
        for (text, what) in
            [("8/8", "the last of 8 is 7/8"), ("1", "0/8"), ("0/0", "0/8"), ("-1/2", "0/8")]
        {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_file_is_in_just_one_shard(key in proptest::collection::vec(any::<u8>(), 0..40), of in 1..20_u64) {
            let takers = (0..of).filter(|index| Shard { index: *index, of }.takes_key(&key));
            prop_assert_eq!(takers.count(), 1);
        }
    }
}

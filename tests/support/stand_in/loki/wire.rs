//! The protobuf messages of a Loki push, defined again here, independently of the code under test.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Push {
    #[prost(message, repeated, tag = "1")]
    pub(crate) streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stream {
    #[prost(string, tag = "1")]
    pub(crate) labels: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Entry {
    #[prost(message, optional, tag = "1")]
    pub(crate) time: Option<Time>,
    /// Bytes, because a line need not be UTF-8.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) line: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) metadata: Vec<Pair>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Time {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Pair {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

impl Entry {
    /// Nanoseconds since 1970.
    pub(crate) fn ns(&self) -> i64 {
        self.time.as_ref().map_or(0, |time| time.seconds * 1_000_000_000 + i64::from(time.nanos))
    }

    /// Its size in bytes, as the rate limit counts it.
    pub(crate) fn bytes(&self) -> usize {
        let metadata = self.metadata.iter().map(|pair| pair.name.len() + pair.value.len());
        self.line.len() + metadata.sum::<usize>()
    }
}

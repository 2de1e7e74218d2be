//! The vector instructions of this processor.

use std::sync::LazyLock;

use fearless_simd::Level;

/// The best instruction set, detected once.
pub(crate) static LEVEL: LazyLock<Level> = LazyLock::new(Level::new);

/// The instruction sets that this processor has.
#[cfg(test)]
pub(crate) fn levels() -> Vec<Level> {
    let best = Level::new();
    #[cfg(target_arch = "x86_64")]
    let older = [best.as_sse2().map(Level::Sse2), best.as_sse4_2().map(Level::Sse4_2)];
    #[cfg(not(target_arch = "x86_64"))]
    let older = [None];
    older.into_iter().flatten().chain([best]).collect()
}

//! Flags in, exit code out; everything else is in the library.

/// A release is linked with musl, whose own allocator is slow where threads share it.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    auditrail::main()
}

//! Flags in, exit code out; everything else is in the library.

/// The static program uses this one instead of musl's, which asks the kernel anew for every large buffer.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    auditrail::main()
}

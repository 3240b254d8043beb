//! Gives back the pages of the program that only its start needed.
//!
//! Most of what an idle agent has in memory is its own code, and most of that code reads command lines and
//! configurations once (`docs/decisions/0003-memory.md`). The kernel keeps such pages for as long as it has no other
//! use for them. What is still needed comes back from the page cache when it is next used, and little else does.

#![allow(
    unsafe_code,
    reason = "the linker's table of segments and madvise have no safe form"
)]

use std::ffi::{c_int, c_void};
use std::slice;
use std::time::Duration;

use tokio::time::sleep;

/// By then the first cycles have run, and whoever looked at the start has seen it.
const SETTLED: Duration = Duration::from_secs(10);

/// Gives back what a start or a reload needed, once it is over.
pub(crate) fn give_back_later() {
    tokio::spawn(async {
        sleep(SETTLED).await;
        give_back();
    });
}

/// How much comes back with a page that is touched. The kernel maps what lies around it as well, up to 64 KiB, but never
/// beyond the end of a mapping.
const STRETCH: u64 = 16 << 10;

fn give_back() {
    // SAFETY: `program` has the signature that is asked for, and keeps nothing of what it is shown.
    unsafe { libc::dl_iterate_phdr(Some(program), std::ptr::null_mut()) };
}

/// Called with each object that is linked into this process, the program itself first; ends after that one.
unsafe extern "C" fn program(info: *mut libc::dl_phdr_info, _size: usize, _data: *mut c_void) -> c_int {
    const LAST: c_int = 1;
    // SAFETY: the linker shows a description that is valid during this call, and its table of so many headers.
    let (base, headers) = unsafe {
        let info = &*info;
        (
            info.dlpi_addr,
            slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()),
        )
    };
    let page = rustix::param::page_size() as u64;
    for header in headers.iter().filter(|header| is_unchanged(header)) {
        let from = (base + header.p_vaddr).next_multiple_of(page);
        let until = (base + header.p_vaddr + header.p_memsz) / page * page;
        let Some(length) = until.checked_sub(from) else {
            continue;
        };
        // SAFETY: whole pages of a segment that is mapped from the program's file for as long as it runs, and never
        // written, not even by the linker: they have the same content when they are mapped again.
        unsafe {
            divide(from, until);
            advise(from, length, libc::MADV_DONTNEED);
        }
    }
    LAST
}

/// Makes a mapping of each [`STRETCH`] of these addresses: every other one is left out of core dumps, as all that stands
/// in the program's file is anyway. Where it was done before, nothing changes.
///
/// # Safety
///
/// As [`advise`].
unsafe fn divide(from: u64, until: u64) {
    let mut at = from.next_multiple_of(STRETCH);
    while at + STRETCH <= until {
        // SAFETY: within what the caller vouches for.
        if !unsafe { advise(at, STRETCH, libc::MADV_DONTDUMP) } {
            return;
        }
        at += 2 * STRETCH;
    }
}

/// Gives the kernel advice about whole pages; whether it was taken.
///
/// # Safety
///
/// The advice must not change what a read of these pages gives.
unsafe fn advise(from: u64, length: u64, advice: c_int) -> bool {
    // SAFETY: the caller vouches for it.
    let taken = unsafe { libc::madvise(from as *mut c_void, length as usize, advice) } == 0;
    if !taken {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "pages of the start stay in memory");
    }
    taken
}

/// Whether a segment is as it stands in the file: one that may be written, or could be until the linker had put its
/// addresses in, has content of its own.
fn is_unchanged(header: &libc::Elf64_Phdr) -> bool {
    header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn code_is_given_back_and_comes_again_when_it_is_used() {
        let help = || crate::cli::Cli::command().render_long_help().to_string();
        let (before, resident) = (help(), code());
        give_back();
        let left = code();
        assert!(left < resident, "{left} kB of {resident} kB are left");
        assert_eq!(help(), before);
    }

    /// How much of this program's code is in memory, in kB.
    fn code() -> u64 {
        let this = std::env::current_exe().unwrap();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        maps.lines()
            .skip_while(|line| !(line.contains(" r-xp ") && line.ends_with(this.to_str().unwrap())))
            .find_map(|line| line.strip_prefix("Rss:"))
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap()
    }
}

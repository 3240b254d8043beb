//! The loaded libraries, and the memory that loading them touched.
//!
//! libvirt depends on about fifty libraries. The loader reads most of their pages once, and these pages then count as the
//! process's resident memory: 5 MB more than what is used.

use std::ffi::{c_int, c_void};

/// `DT_TEXTREL` and `DT_FLAGS` with `DF_TEXTREL`: relocations are written to read-only segments.
const TEXTREL: i64 = 22;
const FLAGS: i64 = 30;
const FLAG_TEXTREL: u64 = 4;

/// `Elf64_Dyn`.
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: u64,
}

/// Loaded libraries, by their base addresses.
#[derive(Default)]
pub(super) struct Objects(Vec<Object>);

struct Object {
    base: usize,
    /// Its read-only segments: start and end.
    segments: Vec<(usize, usize)>,
}

impl Objects {
    /// Returns the libraries that are loaded now.
    pub(super) fn loaded() -> Self {
        let mut objects = Self::default();
        // SAFETY: the callback is given what it expects, and the loader calls it before this returns.
        unsafe { libc::dl_iterate_phdr(Some(add_object), (&raw mut objects).cast()) };
        objects
    }

    /// Returns those that are not in `others`.
    pub(super) fn without(self, others: &Self) -> Self {
        let is_new = |object: &Object| !others.0.iter().any(|other| other.base == object.base);
        Self(self.0.into_iter().filter(is_new).collect())
    }

    /// Releases the touched pages; used ones are loaded again from the page cache. The libraries must never be unloaded.
    pub(super) fn release(&self) {
        // SAFETY: the call only returns a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let Ok(page) = usize::try_from(page) else {
            return;
        };
        for (begin, end) in self.0.iter().flat_map(|object| &object.segments) {
            // Whole pages only: another segment may start on the last one.
            let (begin, end) = (begin.next_multiple_of(page), end - end % page);
            if begin < end {
                // SAFETY: the pages are mapped read-only from a file and never written: their contents are read again on access.
                unsafe { libc::madvise(begin as *mut c_void, end - begin, libc::MADV_DONTNEED) };
            }
        }
    }
}

unsafe extern "C" fn add_object(info: *mut libc::dl_phdr_info, _: usize, objects: *mut c_void) -> c_int {
    // SAFETY: the loader's description is valid during the call, and the caller owns the objects and waits.
    let (info, objects) = unsafe { (&*info, &mut *objects.cast::<Objects>()) };
    // SAFETY: the object has that many headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let base = info.dlpi_addr as usize;
    let at = |header: &libc::Elf64_Phdr| base + header.p_vaddr as usize;
    let dynamic = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC);
    // SAFETY: the section is mapped at the address in its header.
    if dynamic.is_some_and(|header| unsafe { writes_to_text(at(header) as *const Dynamic) }) {
        return 0;
    }
    let is_fixed =
        |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0;
    let segments = headers.iter().filter(is_fixed);
    objects.0.push(Object {
        base,
        segments: segments
            .map(|header| (at(header), at(header) + header.p_memsz as usize))
            .collect(),
    });
    0
}

/// Whether the loader has written to read-only segments.
///
/// # Safety
///
/// The pointer points to a dynamic section.
unsafe fn writes_to_text(mut entry: *const Dynamic) -> bool {
    loop {
        // SAFETY: the section ends with a tag of 0, which is not reached yet.
        let Dynamic { tag, value } = unsafe { &*entry };
        match *tag {
            0 => return false,
            TEXTREL => return true,
            FLAGS if value & FLAG_TEXTREL != 0 => return true,
            // SAFETY: another entry follows.
            _ => entry = unsafe { entry.add(1) },
        }
    }
}

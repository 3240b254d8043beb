//! The libraries that are loaded, and the memory that loading them took.
//!
//! libvirt brings some fifty others. Loading looks once at most of their pages, and what was looked at counts as the
//! program's memory from then on: 5 MB more than what is used.

use std::ffi::{c_int, c_void};

/// `DT_TEXTREL` and `DT_FLAGS` with `DF_TEXTREL`: relocations are written to what is otherwise only read.
const TEXTREL: i64 = 22;
const FLAGS: i64 = 30;
const FLAG_TEXTREL: u64 = 4;

/// `Elf64_Dyn`.
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: u64,
}

/// Libraries, by the addresses where they are.
#[derive(Default)]
pub(super) struct Objects(Vec<Object>);

struct Object {
    base: usize,
    /// What is only read and run of it: begin and end.
    segments: Vec<(usize, usize)>,
}

impl Objects {
    /// What is loaded now.
    pub(super) fn loaded() -> Self {
        let mut objects = Self::default();
        // SAFETY: the callback is given what it expects, and the loader calls it before this returns.
        unsafe { libc::dl_iterate_phdr(Some(add_object), (&raw mut objects).cast()) };
        objects
    }

    /// Those that are not among others.
    pub(super) fn without(self, others: &Self) -> Self {
        let is_new = |object: &Object| !others.0.iter().any(|other| other.base == object.base);
        Self(self.0.into_iter().filter(is_new).collect())
    }

    /// Lets go of the pages that were looked at; those that are used come back from the page cache. The libraries must
    /// be ones that are never unloaded.
    pub(super) fn give_back(&self) {
        // SAFETY: it only asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let Ok(page) = usize::try_from(page) else {
            return;
        };
        for (begin, end) in self.0.iter().flat_map(|object| &object.segments) {
            // Whole pages only: another segment may begin on the last one.
            let (begin, end) = (begin.next_multiple_of(page), end - end % page);
            if begin < end {
                // SAFETY: the pages are a file's, mapped for reading only and never written to: what is in them is read
                // again when it is wanted.
                unsafe { libc::madvise(begin as *mut c_void, end - begin, libc::MADV_DONTNEED) };
            }
        }
    }
}

unsafe extern "C" fn add_object(info: *mut libc::dl_phdr_info, _: usize, objects: *mut c_void) -> c_int {
    // SAFETY: the loader's description stands during the call, and the objects are those of the caller, who waits.
    let (info, objects) = unsafe { (&*info, &mut *objects.cast::<Objects>()) };
    // SAFETY: the object has that many headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let base = info.dlpi_addr as usize;
    let at = |header: &libc::Elf64_Phdr| base + header.p_vaddr as usize;
    let dynamic = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC);
    // SAFETY: the section is mapped where its header says.
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

/// Whether the loader has written to what is otherwise only read.
///
/// # Safety
///
/// The pointer is one to a dynamic section.
unsafe fn writes_to_text(mut entry: *const Dynamic) -> bool {
    loop {
        // SAFETY: the section ends with a tag of 0, and this has not seen it yet.
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

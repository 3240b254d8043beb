//! The libvirt bindings: all unsafe code of the crate.
//!
//! The library is loaded at its first use, so that one binary runs on hosts with and without it; it is never unloaded.
//! Functions and structures are those of libvirt's public C interface, which has only been extended since 0.10: libvirt
//! 4.5 and newer have every function that is used here. Errors are read on the thread of the failed call, because libvirt
//! stores them per thread.
//!
//! Results are copied into Rust types. No pointer of libvirt leaves this module, except the pointer to a connection, which
//! [`Connection`] owns.
#![allow(unsafe_code, reason = "calls into a C library are unsafe")]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::changes::Changes;
use crate::groups::Groups;
use crate::session::{Error, Session};
use crate::stats::{DomainStats, Value};

mod objects;

use objects::Objects;

/// The soname of all libvirt versions since 0.0.1.
const FILE: &str = "libvirt.so.0";

/// A silent connection gets a keepalive request after this many seconds ...
const KEEPALIVE_SECONDS: c_int = 10;

/// ... and is closed after this many requests without an answer; pending calls then fail.
const KEEPALIVE_COUNT: c_uint = 3;

/// The pause of the event loop after one of its own failures.
const EVENT_LOOP_PAUSE: Duration = Duration::from_secs(1);

/// `VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT`: omit values that would wait for a busy domain.
const STATS_NOWAIT: c_uint = 1 << 29;

/// `VIR_ERR_NO_DOMAIN`.
const NO_DOMAIN: c_int = 42;

/// `virDomainEventID`s.
const EVENT_LIFECYCLE: c_int = 0;
const EVENT_TRAY_CHANGE: c_int = 10;
const EVENT_DEVICE_REMOVED: c_int = 15;
const EVENT_DEVICE_ADDED: c_int = 19;
const EVENT_METADATA_CHANGE: c_int = 23;

#[repr(C)]
struct VirConnect {
    _opaque: [u8; 0],
}

#[repr(C)]
struct VirDomain {
    _opaque: [u8; 0],
}

/// `virTypedParameter`.
#[repr(C)]
struct TypedParameter {
    field: [c_char; 80],
    kind: c_int,
    value: TypedValue,
}

#[repr(C)]
union TypedValue {
    int: c_int,
    uint: c_uint,
    long: i64,
    ulong: u64,
    double: f64,
    boolean: c_char,
    string: *const c_char,
}

/// `virDomainStatsRecord`.
#[repr(C)]
struct StatsRecord {
    domain: *mut VirDomain,
    parameters: *const TypedParameter,
    count: c_int,
}

type GenericCallback = unsafe extern "C" fn();
type FreeCallback = unsafe extern "C" fn(*mut c_void);

/// Declares the functions to load from the library.
macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)+) => {
        struct Functions {
            $($field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)+
        }

        impl Functions {
            fn of(library: &libloading::Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the type is that of the function of this name in libvirt's headers, and the library is
                    // never unloaded.
                    $($field: *unsafe { library.get($name) }?,)+
                })
            }
        }
    };
}

functions! {
    set_error_function = "virSetErrorFunc": fn(*mut c_void, Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>);
    last_error_code = "virGetLastErrorCode": fn() -> c_int;
    last_error_message = "virGetLastErrorMessage": fn() -> *const c_char;
    register_event_loop = "virEventRegisterDefaultImpl": fn() -> c_int;
    run_event_loop = "virEventRunDefaultImpl": fn() -> c_int;
    open = "virConnectOpenReadOnly": fn(*const c_char) -> *mut VirConnect;
    close = "virConnectClose": fn(*mut VirConnect) -> c_int;
    set_keepalive = "virConnectSetKeepAlive": fn(*mut VirConnect, c_int, c_uint) -> c_int;
    all_stats = "virConnectGetAllDomainStats": fn(*mut VirConnect, c_uint, *mut *mut *mut StatsRecord, c_uint) -> c_int;
    free_stats = "virDomainStatsRecordListFree": fn(*mut *mut StatsRecord);
    register_event = "virConnectDomainEventRegisterAny":
        fn(*mut VirConnect, *mut VirDomain, c_int, GenericCallback, *mut c_void, FreeCallback) -> c_int;
    deregister_event = "virConnectDomainEventDeregisterAny": fn(*mut VirConnect, c_int) -> c_int;
    lookup = "virDomainLookupByUUID": fn(*mut VirConnect, *const u8) -> *mut VirDomain;
    name = "virDomainGetName": fn(*mut VirDomain) -> *const c_char;
    uuid = "virDomainGetUUID": fn(*mut VirDomain, *mut u8) -> c_int;
    id = "virDomainGetID": fn(*mut VirDomain) -> c_uint;
    definition = "virDomainGetXMLDesc": fn(*mut VirDomain, c_uint) -> *mut c_char;
    free_domain = "virDomainFree": fn(*mut VirDomain) -> c_int;
}

/// The loaded library.
pub(crate) struct Library(Functions);

impl Library {
    /// Loads the library at the first call. A call after a failure tries again.
    ///
    /// # Errors
    ///
    /// The loader's error: libvirt is missing, or lacks a function.
    pub(crate) fn load() -> Result<&'static Self, String> {
        static LOADED: Mutex<Option<&'static Library>> = Mutex::new(None);
        let mut loaded = LOADED.lock();
        if let Some(library) = *loaded {
            return Ok(library);
        }
        let before = Objects::loaded();
        // SAFETY: libvirt's initialisers only set up libvirt's own state.
        let library = unsafe { libloading::Library::new(FILE) }.map_err(|error| error.to_string())?;
        let functions = Functions::of(&library).map_err(|error| error.to_string())?;
        // Its threads and callbacks exist until the process ends.
        std::mem::forget(library);
        let library: &'static Self = Box::leak(Box::new(Self(functions)));
        library.start_events()?;
        Objects::loaded().without(&before).release();
        *loaded = Some(library);
        Ok(library)
    }

    /// Silences libvirt, which writes to standard error by default, and runs its event loop on a thread: events and
    /// keepalive need one, and it must exist before the first connection.
    fn start_events(&'static self) -> Result<(), String> {
        // SAFETY: the function ignores its arguments.
        unsafe { (self.0.set_error_function)(ptr::null_mut(), Some(ignore_error)) };
        // SAFETY: called once in the process, before any connection.
        if unsafe { (self.0.register_event_loop)() } < 0 {
            return Err(self.error().message);
        }
        let run = move || {
            loop {
                // SAFETY: the event loop is registered, and this is the only thread that runs it.
                if unsafe { (self.0.run_event_loop)() } < 0 {
                    thread::park_timeout(EVENT_LOOP_PAUSE);
                }
            }
        };
        thread::Builder::new()
            .name("libvirt-events".to_owned())
            .spawn(run)
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Returns the error of the last call on this thread.
    fn error(&self) -> Error {
        // SAFETY: both only read libvirt's state of this thread; the text is valid until the next call, and is copied.
        let (code, message) = unsafe { ((self.0.last_error_code)(), text((self.0.last_error_message)())) };
        Error {
            is_gone: code == NO_DOMAIN,
            message: message.unwrap_or_else(|| "libvirt reports no reason".to_owned()),
        }
    }
}

/// A read-only connection to a hypervisor. Dropping it closes it on a new thread, because closing waits for the daemon,
/// which may hang.
pub(crate) struct Connection {
    library: &'static Library,
    handle: NonNull<VirConnect>,
    events: Vec<c_int>,
}

// SAFETY: libvirt's connections may be used from any thread, and from several at once.
unsafe impl Send for Connection {}

impl Connection {
    /// Connects to `uri`, and reports changed definitions to `changes`.
    ///
    /// Blocks until the daemon answers.
    pub(crate) fn open(library: &'static Library, uri: &str, changes: &Arc<Changes>) -> Result<Self, Error> {
        let uri = CString::new(uri).map_err(|_| Error::new("the URI contains a NUL"))?;
        // SAFETY: the text is NUL-terminated and outlives the call.
        let handle = unsafe { (library.0.open)(uri.as_ptr()) };
        let handle = NonNull::new(handle).ok_or_else(|| library.error())?;
        let mut connection = Self {
            library,
            handle,
            events: Vec::new(),
        };
        // SAFETY: the connection is open. A driver without a daemon (`test:///`) has no keepalive and needs none.
        unsafe { (library.0.set_keepalive)(handle.as_ptr(), KEEPALIVE_SECONDS, KEEPALIVE_COUNT) };
        // Changes before the connection are unknown.
        changes.add_all();
        connection.listen(changes);
        Ok(connection)
    }

    /// Registers the callbacks. Changes without an event of the driver are detected by the periodic check.
    fn listen(&mut self, changes: &Arc<Changes>) {
        let functions = &self.library.0;
        // SAFETY: libvirt calls each callback with the arguments of its event (the headers document the type of the callback
        // with the event's number); C code casts them to this type too.
        let callbacks: [(c_int, GenericCallback); 5] = unsafe {
            use std::mem::transmute;
            type Plain =
                unsafe extern "C" fn(*mut VirConnect, *mut VirDomain, c_int, c_int, *mut c_void) -> c_int;
            type Alias = unsafe extern "C" fn(*mut VirConnect, *mut VirDomain, *const c_char, *mut c_void);
            type Tray =
                unsafe extern "C" fn(*mut VirConnect, *mut VirDomain, *const c_char, c_int, *mut c_void);
            type Space =
                unsafe extern "C" fn(*mut VirConnect, *mut VirDomain, c_int, *const c_char, *mut c_void);
            [
                (EVENT_LIFECYCLE, transmute::<Plain, GenericCallback>(on_lifecycle)),
                (EVENT_TRAY_CHANGE, transmute::<Tray, GenericCallback>(on_tray)),
                (
                    EVENT_DEVICE_REMOVED,
                    transmute::<Alias, GenericCallback>(on_device),
                ),
                (EVENT_DEVICE_ADDED, transmute::<Alias, GenericCallback>(on_device)),
                (
                    EVENT_METADATA_CHANGE,
                    transmute::<Space, GenericCallback>(on_metadata),
                ),
            ]
        };
        for (event, callback) in callbacks {
            let listener = Box::into_raw(Box::new(Listener {
                library: self.library,
                changes: changes.clone(),
            }));
            // SAFETY: the connection is open, a null domain means all domains, and only `drop_listener` frees the listener,
            // after the callback is removed.
            let id = unsafe {
                (functions.register_event)(
                    self.handle.as_ptr(),
                    ptr::null_mut(),
                    event,
                    callback,
                    listener.cast(),
                    drop_listener,
                )
            };
            if id < 0 {
                // SAFETY: libvirt did not store the listener, which was created by `Box::into_raw`.
                drop(unsafe { Box::from_raw(listener) });
            } else {
                self.events.push(id);
            }
        }
    }
}

impl Session for Connection {
    fn stats(&mut self, groups: Groups, nowait: bool) -> Result<Vec<DomainStats>, Error> {
        let functions = &self.library.0;
        let flags = if nowait { STATS_NOWAIT } else { 0 };
        let mut records: *mut *mut StatsRecord = ptr::null_mut();
        // SAFETY: the connection is open, and `records` is writable.
        let count =
            unsafe { (functions.all_stats)(self.handle.as_ptr(), groups.bits(), &raw mut records, flags) };
        let Ok(count) = usize::try_from(count) else {
            return Err(self.library.error());
        };
        let _list = StatsList { functions, records };
        let mut all = Vec::with_capacity(count);
        for index in 0..count {
            // SAFETY: the list has `count` records, which are valid with their domains until it is freed.
            let (record, stats) = unsafe {
                let record = &**records.add(index);
                (record, self.library.domain(record.domain))
            };
            let Some(mut stats) = stats else {
                continue;
            };
            // SAFETY: libvirt created the record.
            for parameter in unsafe { record.parameters() } {
                // SAFETY: libvirt created the parameter.
                if let Some((name, value)) = unsafe { parameter.read() } {
                    stats.set(name, value);
                }
            }
            all.push(stats);
        }
        Ok(all)
    }

    fn definition(&mut self, uuid: &Uuid) -> Result<String, Error> {
        let functions = &self.library.0;
        // SAFETY: the connection is open, and a UUID has the 16 bytes that are read.
        let domain = unsafe { (functions.lookup)(self.handle.as_ptr(), uuid.as_bytes().as_ptr()) };
        let domain = NonNull::new(domain).ok_or_else(|| self.library.error())?;
        // SAFETY: the domain is valid until it is freed below; without flags, no secrets are included. The caller owns the text.
        let (xml, definition) = unsafe {
            let xml = (functions.definition)(domain.as_ptr(), 0);
            (xml, text(xml))
        };
        let definition = definition.ok_or_else(|| self.library.error());
        // SAFETY: the caller owns the text and the domain, and neither is used any more; freeing null does nothing.
        unsafe {
            libc::free(xml.cast());
            (functions.free_domain)(domain.as_ptr());
        }
        definition
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let closing = Closing {
            library: self.library,
            handle: self.handle,
            events: std::mem::take(&mut self.events),
        };
        // If no thread can be created, the connection leaks; the process has more severe problems.
        let _ = thread::Builder::new()
            .name("libvirt-close".to_owned())
            .spawn(move || closing.close());
    }
}

/// A connection that is no longer used.
struct Closing {
    library: &'static Library,
    handle: NonNull<VirConnect>,
    events: Vec<c_int>,
}

// SAFETY: as for a connection.
unsafe impl Send for Closing {}

impl Closing {
    fn close(self) {
        for event in self.events {
            // SAFETY: the connection is open, and the callback is registered. (It holds a reference to the connection.)
            unsafe { (self.library.0.deregister_event)(self.handle.as_ptr(), event) };
        }
        // SAFETY: the connection is open, and is not used after this.
        unsafe { (self.library.0.close)(self.handle.as_ptr()) };
    }
}

/// Frees statistics when dropped.
struct StatsList<'a> {
    functions: &'a Functions,
    records: *mut *mut StatsRecord,
}

impl Drop for StatsList<'_> {
    fn drop(&mut self) {
        // SAFETY: libvirt created the list, and nothing of it is used after this; null is an empty list.
        unsafe { (self.functions.free_stats)(self.records) };
    }
}

impl Library {
    /// Reads a domain's handle without a request to the daemon; `None` if the handle is invalid.
    ///
    /// # Safety
    ///
    /// libvirt created the domain, and it is valid during the call.
    unsafe fn domain(&self, domain: *mut VirDomain) -> Option<DomainStats> {
        // SAFETY: the domain is valid; its name is copied.
        let (name, id, uuid) = unsafe {
            (
                text((self.0.name)(domain)),
                (self.0.id)(domain),
                self.uuid(domain),
            )
        };
        // An inactive domain has the id -1.
        let id = (id != c_uint::MAX).then_some(id);
        Some(DomainStats::new(uuid?, name?, id))
    }

    /// Returns the UUID of a domain.
    ///
    /// # Safety
    ///
    /// As for [`Library::domain`].
    unsafe fn uuid(&self, domain: *mut VirDomain) -> Option<Uuid> {
        let mut bytes = [0; 16];
        // SAFETY: the domain is valid, and the buffer has 16 bytes.
        let outcome = unsafe { (self.0.uuid)(domain, bytes.as_mut_ptr()) };
        (outcome == 0).then(|| Uuid::from_bytes(bytes))
    }
}

impl StatsRecord {
    /// Returns the parameters.
    ///
    /// # Safety
    ///
    /// libvirt created the record.
    unsafe fn parameters(&self) -> &[TypedParameter] {
        match usize::try_from(self.count) {
            Ok(count) if !self.parameters.is_null() => {
                // SAFETY: the record has that many parameters, which are valid as long as it is.
                unsafe { std::slice::from_raw_parts(self.parameters, count) }
            }
            _ => &[],
        }
    }
}

impl TypedParameter {
    /// Returns name and value; `None` for an unknown type.
    ///
    /// # Safety
    ///
    /// libvirt created the parameter.
    unsafe fn read(&self) -> Option<(&str, Value<'_>)> {
        // SAFETY: libvirt terminates the name with a NUL within the field.
        let name = unsafe { CStr::from_ptr(self.field.as_ptr()) }.to_str().ok()?;
        // SAFETY: the kind (`virTypedParameterType`) selects the member of the union.
        let value = unsafe {
            match self.kind {
                1 => Value::Signed(self.value.int.into()),
                2 => Value::Unsigned(self.value.uint.into()),
                3 => Value::Signed(self.value.long),
                4 => Value::Unsigned(self.value.ulong),
                5 => Value::Float(self.value.double),
                6 => Value::Bool(self.value.boolean != 0),
                7 => Value::Text(CStr::from_ptr(self.value.string).to_str().ok()?),
                _ => return None,
            }
        };
        Some((name, value))
    }
}

/// Copies a text of libvirt; invalid UTF-8 is replaced.
///
/// # Safety
///
/// The pointer is null, or points to a NUL-terminated text that is valid during the call.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: it is not null, so it points to such a text.
    let text = unsafe { CStr::from_ptr(pointer) };
    Some(text.to_string_lossy().into_owned())
}

/// Returns free memory to the system. A hundred domains need two megabytes per cycle, for the answer and its copies, mostly
/// on different threads each time.
pub(crate) fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the allocator locks its arenas.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// The argument of a callback.
struct Listener {
    library: &'static Library,
    changes: Arc<Changes>,
}

unsafe extern "C" fn ignore_error(_: *mut c_void, _: *mut c_void) {}

/// Reports a domain whose definition may have changed.
///
/// # Safety
///
/// For callbacks: `listener` is their registered argument, and `domain` is valid during the call.
unsafe fn notify(domain: *mut VirDomain, listener: *mut c_void) {
    // SAFETY: the listener is freed after the callback is removed, and only read.
    let listener = unsafe { &*listener.cast::<Listener>() };
    // SAFETY: the domain is valid during the call.
    if let Some(uuid) = unsafe { listener.library.uuid(domain) } {
        listener.changes.add(uuid);
    }
}

unsafe extern "C" fn on_lifecycle(
    _: *mut VirConnect,
    domain: *mut VirDomain,
    _: c_int,
    _: c_int,
    listener: *mut c_void,
) -> c_int {
    // SAFETY: libvirt passes the registered argument.
    unsafe { notify(domain, listener) };
    0
}

unsafe extern "C" fn on_tray(
    _: *mut VirConnect,
    domain: *mut VirDomain,
    _: *const c_char,
    _: c_int,
    listener: *mut c_void,
) {
    // SAFETY: libvirt passes the registered argument.
    unsafe { notify(domain, listener) }
}

unsafe extern "C" fn on_device(
    _: *mut VirConnect,
    domain: *mut VirDomain,
    _: *const c_char,
    listener: *mut c_void,
) {
    // SAFETY: libvirt passes the registered argument.
    unsafe { notify(domain, listener) }
}

unsafe extern "C" fn on_metadata(
    _: *mut VirConnect,
    domain: *mut VirDomain,
    _: c_int,
    _: *const c_char,
    listener: *mut c_void,
) {
    // SAFETY: libvirt passes the registered argument.
    unsafe { notify(domain, listener) }
}

unsafe extern "C" fn drop_listener(listener: *mut c_void) {
    // SAFETY: it was created by `Box::into_raw`, and libvirt no longer uses it.
    drop(unsafe { Box::from_raw(listener.cast::<Listener>()) });
}

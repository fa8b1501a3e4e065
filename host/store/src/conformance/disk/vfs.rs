//! The disk as SQLite sees it: a VFS over the usual one, which asks the [`Disk`] before each call.
//!
//! All that is unsafe about it is here. A file is a [`Handle`] with the usual VFS's own file right behind it, in memory that
//! SQLite provides by the size that is registered.

#![expect(unsafe_code, reason = "a VFS is a table of C functions")]

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr;

use rusqlite::ffi;

use super::{Change, Disk, Operation, Verdict, half};

/// A file that SQLite has opened.
#[repr(C)]
struct Handle {
    base: ffi::sqlite3_file,
    disk: *const Disk,
    /// From `Box::into_raw`; freed when the file is closed.
    path: *mut PathBuf,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes the disk known to SQLite for as long as the process lives.
pub(super) fn register(disk: &'static Disk) {
    let name = CString::new(disk.name()).expect("the name has no zero");
    // SAFETY: the usual VFS is registered by SQLite itself and never goes away. The copy of it and its name are leaked, so
    // that they live as long; only fields that this module provides are replaced.
    let outcome = unsafe {
        let usual = ffi::sqlite3_vfs_find(ptr::null());
        let mut vfs = Box::new(*usual);
        let handle_len = c_int::try_from(size_of::<Handle>()).expect("a handle is small");
        vfs.szOsFile = handle_len + (*usual).szOsFile;
        vfs.pNext = ptr::null_mut();
        vfs.zName = name.into_raw();
        vfs.pAppData = ptr::from_ref(disk).cast_mut().cast();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        ffi::sqlite3_vfs_register(Box::into_raw(vfs), 0)
    };
    assert_eq!(outcome, ffi::SQLITE_OK, "SQLite takes the disk");
}

/// The usual VFS.
fn usual() -> *mut ffi::sqlite3_vfs {
    // SAFETY: it takes a name or null, and SQLite is initialised by the time that any VFS is called.
    unsafe { ffi::sqlite3_vfs_find(ptr::null()) }
}

/// The usual VFS's file behind a handle.
const unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `register` asked for that much memory, and a handle's length is a multiple of a pointer's alignment.
    unsafe { file.cast::<u8>().add(size_of::<Handle>()).cast() }
}

/// Calls a method of the usual VFS's file.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: SQLite calls only methods of files that `open` has opened, with arguments that are valid for them.
        unsafe {
            let file = real($file);
            match (*(*file).pMethods).$method {
                Some(method) => method(file $(, $argument)*),
                None => panic!("the usual VFS has every method of its version"),
            }
        }
    }};
}

/// The disk of a file, and its path.
unsafe fn parts<'a>(file: *mut ffi::sqlite3_file) -> (&'a Disk, &'a Path) {
    // SAFETY: `open` has set both; the disk is never freed, and the path not before the file is closed.
    unsafe {
        let handle = file.cast::<Handle>();
        let path: &'a PathBuf = &*(*handle).path;
        (&*(*handle).disk, path.as_path())
    }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands over a VFS that `register` made, memory of the registered size, and a name or null.
    unsafe {
        let handle = file.cast::<Handle>();
        (*handle).base.pMethods = ptr::null();
        let disk = &*(*vfs).pAppData.cast::<Disk>();
        if disk.call(Operation::Open) != Verdict::Go {
            return ffi::SQLITE_CANTOPEN;
        }
        let path = path_of(name);
        disk.opened(&path);
        let Some(open) = (*usual()).xOpen else { return ffi::SQLITE_CANTOPEN };
        let outcome = open(usual(), name, real(file), flags, out_flags);
        if outcome == ffi::SQLITE_OK {
            (*handle).base.pMethods = &raw const METHODS;
            (*handle).disk = disk;
            (*handle).path = Box::into_raw(Box::new(path));
        }
        outcome
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: as for `open`.
    unsafe {
        (*(*vfs).pAppData.cast::<Disk>()).deleted(&path_of(name));
        (*usual()).xDelete.map_or(ffi::SQLITE_IOERR_DELETE, |delete| delete(usual(), name, sync_dir))
    }
}

/// The path that SQLite names; empty for files without a name, which nobody follows.
unsafe fn path_of(name: *const c_char) -> PathBuf {
    if name.is_null() {
        return PathBuf::new();
    }
    // SAFETY: what SQLite names ends with a zero.
    PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()))
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let outcome = pass!(file, xClose);
    // SAFETY: `open` made it so, and nobody uses a closed file.
    drop(unsafe { Box::from_raw((*file.cast::<Handle>()).path) });
    outcome
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, len: c_int, at: ffi::sqlite3_int64) -> c_int {
    // SAFETY: `open` has opened the file.
    let (disk, _) = unsafe { parts(file) };
    match disk.call(Operation::Read) {
        Verdict::Go => pass!(file, xRead, to, len, at),
        _ => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    len: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: `open` has opened the file, and SQLite hands over that many bytes.
    let ((disk, path), bytes) =
        unsafe { (parts(file), std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(len).unwrap_or(0))) };
    let is_database = !path.as_os_str().as_bytes().ends_with(b"-wal");
    let verdict = match disk.call(Operation::Write) {
        Verdict::Go if is_database => disk.call(Operation::WriteDatabase),
        verdict => verdict,
    };
    let stored = match verdict {
        Verdict::Go => bytes,
        Verdict::Full | Verdict::Tear => &bytes[..half(bytes.len())],
        Verdict::Fail => &[],
    };
    if !stored.is_empty() {
        let len = c_int::try_from(stored.len()).unwrap_or(len);
        let outcome = pass!(file, xWrite, stored.as_ptr().cast(), len, at);
        if outcome != ffi::SQLITE_OK {
            return outcome;
        }
        let at = usize::try_from(at).expect("SQLite writes at places that there are");
        disk.changed(path, Change::Written { at, bytes: stored.to_vec() });
    }
    match verdict {
        Verdict::Go => ffi::SQLITE_OK,
        Verdict::Full => ffi::SQLITE_FULL,
        Verdict::Tear | Verdict::Fail => ffi::SQLITE_IOERR_WRITE,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: ffi::sqlite3_int64) -> c_int {
    // SAFETY: `open` has opened the file.
    let (disk, path) = unsafe { parts(file) };
    if disk.call(Operation::Truncate) != Verdict::Go {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    disk.changed(path, Change::Truncated { len: usize::try_from(len).unwrap_or(0) });
    pass!(file, xTruncate, len)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: `open` has opened the file.
    let (disk, path) = unsafe { parts(file) };
    match disk.call(Operation::Sync) {
        Verdict::Go => {
            disk.flushed(path);
            ffi::SQLITE_OK
        }
        _ => {
            disk.half_flushed(path);
            ffi::SQLITE_IOERR_FSYNC
        }
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, len: *mut ffi::sqlite3_int64) -> c_int {
    pass!(file, xFileSize, len)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    pass!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    pass!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    pass!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    pass!(file, xFileControl, op, argument)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    pass!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    len: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: `open` has opened the file.
    let (disk, _) = unsafe { parts(file) };
    match disk.call(Operation::ShmMap) {
        Verdict::Go => pass!(file, xShmMap, region, len, extend, out),
        _ => ffi::SQLITE_IOERR_SHMMAP,
    }
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    pass!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    pass!(file, xShmBarrier);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    pass!(file, xShmUnmap, delete)
}

//! seccomp and its user notifications (`man 2 seccomp`, `man 2 seccomp_unotify`).

/// What a guest's call looks like to its filter: `struct seccomp_data`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotifData {
    /// The syscall's number.
    pub nr: i32,
    /// The architecture, as `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where the guest made the call.
    pub instruction_pointer: u64,
    /// The six registers, whole: the kernel looks at as many bits of each as the argument's type has.
    pub args: [u64; 6],
}

/// A call that waits for an answer: `struct seccomp_notif`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notif {
    /// Names the call to the kernel.
    pub id: u64,
    /// The thread that made it, as the supervisor's pid namespace numbers it.
    pub pid: u32,
    /// No flags are defined.
    pub flags: u32,
    /// The call.
    pub data: NotifData,
}

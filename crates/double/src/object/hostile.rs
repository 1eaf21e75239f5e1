//! What no honest API server would accept in an object.

/// Addresses that are not of a pod: of the machine that portgate runs on, of its links, of all or of none.
pub const FOREIGN_ADDRESSES: [&str; 8] =
    ["127.0.0.1", "127.8.9.10", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255", "::1", "fe80::1"];

/// Names that a terminal would obey, that forge a line, or that change the order of what follows.
pub const FOREIGN_NAMES: [&str; 6] = [
    "\u{1b}]0;title\u{7}",
    "\u{1b}[2J\u{1b}[H",
    "a\r\nerror: forged",
    "\u{9b}31mred",
    "\u{202e}gnorw",
    "zero\u{200b}width\u{0}",
];

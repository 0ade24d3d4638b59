//! What is typed: keys for the session, and the few orders for ourselves.
//!
//! An order is a tilde at the start of a line and one key behind it, as with ssh; capitals, because paths such as `~kim` begin small. Only that tilde is held back until the
//! next key is there; nothing else ever waits. What is pasted holds no orders, where the terminal says that it is pasted.

use bytes::Bytes;

/// Says that what follows is pasted.
const PASTE: &[u8] = b"\x1b[200~";
/// Says that what follows is typed again.
const PASTED: &[u8] = b"\x1b[201~";

/// What somebody wants of us, and not of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Leave; the session lives on.
    Detach,
    /// Say which orders there are.
    Help,
    /// End the session.
    End,
    /// Take the keyboard.
    Take,
    /// Ask for the keyboard.
    Ask,
    /// Give the keyboard to who asked last.
    Grant,
}

/// What the orders are, one a line.
pub(crate) const HELP: &str = "\
~.  detach; the session lives on
~K  end the session and all its processes
~R  ask for the keyboard
~T  take the keyboard
~G  give the keyboard to who asked last
~~  type a tilde
~?  this help
They count at the start of a line.";

impl Order {
    fn of_key(key: u8) -> Option<Self> {
        match key {
            b'.' => Some(Self::Detach),
            b'?' => Some(Self::Help),
            b'K' => Some(Self::End),
            b'T' => Some(Self::Take),
            b'R' => Some(Self::Ask),
            b'G' => Some(Self::Grant),
            _ => None,
        }
    }
}

/// A stretch of what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// For the session, as it is.
    Keys(Bytes),
    /// For us.
    Order(Order),
}

/// Finds the orders in what is typed, however it is cut up.
#[derive(Debug, Default)]
pub(super) struct Escapes {
    place: Place,
    paste: Paste,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    LineStart,
    InLine,
    /// Behind a tilde that is held back.
    Tilde,
}

impl Escapes {
    /// Takes what was read. The keys may be one byte more: the tilde held back before.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        let mut keys = Vec::with_capacity(bytes.len() + 1);
        for &key in bytes {
            if let Some(order) = self.on_key(key, &mut keys) {
                typed.extend(taken(&mut keys));
                typed.push(Typed::Order(order));
            }
        }
        typed.extend(taken(&mut keys));
        typed
    }

    fn on_key(&mut self, key: u8, keys: &mut Vec<u8>) -> Option<Order> {
        self.paste.on_key(key);
        match (self.place, key) {
            (Place::LineStart, b'~') if !self.paste.is_inside => self.place = Place::Tilde,
            (Place::Tilde, b'~') => {
                keys.push(b'~');
                self.place = Place::InLine;
            }
            (Place::Tilde, _) => {
                if let Some(order) = Order::of_key(key) {
                    self.place = Place::LineStart;
                    return Some(order);
                }
                keys.extend([b'~', key]);
                self.place = behind(key);
            }
            _ => {
                keys.push(key);
                self.place = behind(key);
            }
        }
        None
    }
}

fn behind(key: u8) -> Place {
    if matches!(key, b'\r' | b'\n') { Place::LineStart } else { Place::InLine }
}

fn taken(keys: &mut Vec<u8>) -> Option<Typed> {
    (!keys.is_empty()).then(|| Typed::Keys(std::mem::take(keys).into()))
}

/// Whether what comes is pasted, as a terminal in bracketed paste mode says.
#[derive(Debug, Default)]
struct Paste {
    is_inside: bool,
    /// How many bytes of the next mark were there.
    matched: usize,
}

impl Paste {
    fn on_key(&mut self, key: u8) {
        let mark = if self.is_inside { PASTED } else { PASTE };
        if key == mark[self.matched] {
            self.matched += 1;
        } else {
            self.matched = usize::from(key == mark[0]);
        }
        if self.matched == mark.len() {
            *self = Self { is_inside: !self.is_inside, matched: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Typed {
        Typed::Keys(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Checks what each of the reads gives.
    fn check(reads: &[&str], expected: &[Typed]) {
        let mut escapes = Escapes::default();
        let typed: Vec<Typed> = reads.iter().flat_map(|read| escapes.read(read.as_bytes())).collect();
        assert_eq!(typed, expected, "{reads:?}");
    }

    #[test]
    fn an_order_stands_at_the_start_of_a_line() {
        check(&["~."], &[Typed::Order(Order::Detach)]);
        check(&["ls\r~?"], &[keys("ls\r"), Typed::Order(Order::Help)]);
        check(&["ls\n~K"], &[keys("ls\n"), Typed::Order(Order::End)]);
        check(&["~T~R~G"], &[Typed::Order(Order::Take), Typed::Order(Order::Ask), Typed::Order(Order::Grant)]);
    }

    #[test]
    fn an_order_may_be_split_over_reads() {
        check(&["ls\r", "~", "."], &[keys("ls\r"), Typed::Order(Order::Detach)]);
        check(&["~", "x"], &[keys("~x")]);
        check(&["~", "~", "."], &[keys("~"), keys(".")]);
    }

    #[test]
    fn within_a_line_a_tilde_is_a_tilde() {
        check(&["ls ~.", "~K"], &[keys("ls ~."), keys("~K")]);
        check(&["a", "~."], &[keys("a"), keys("~.")]);
    }

    #[test]
    fn what_is_no_order_is_typed() {
        check(&["~/bin/x\r"], &[keys("~/bin/x\r")]);
        check(&["~~."], &[keys("~.")]);
        check(&["~\r~."], &[keys("~\r"), Typed::Order(Order::Detach)]);
        check(&["~\x1b[A"], &[keys("~\x1b[A")]);
    }

    #[test]
    fn an_order_may_follow_an_order() {
        check(&["~?~."], &[Typed::Order(Order::Help), Typed::Order(Order::Detach)]);
        check(&["~?x~."], &[Typed::Order(Order::Help), keys("x~.")]);
    }

    #[test]
    fn every_keystroke_but_that_tilde_goes_on_at_once() {
        let mut escapes = Escapes::default();
        for key in ["\r", "a", "\x1b", "[", "A", "\x03", "\u{e4}", "\r"] {
            assert_eq!(escapes.read(key.as_bytes()), [keys(key)]);
        }
        assert_eq!(escapes.read(b"~"), []);
        assert_eq!(escapes.read(b"a"), [keys("~a")]);
    }

    #[test]
    fn what_is_pasted_holds_no_orders() {
        check(&["\x1b[200~a\r~kim\r\x1b[201~"], &[keys("\x1b[200~a\r~kim\r\x1b[201~")]);
        check(
            &["\x1b[20", "0~\r", "~K", "\x1b[201~\r~."],
            &[keys("\x1b[20"), keys("0~\r"), keys("~K"), keys("\x1b[201~\r"), Typed::Order(Order::Detach)],
        );
    }

    #[test]
    fn the_help_names_every_order() {
        for key in 0..=127 {
            if Order::of_key(key).is_some() {
                assert!(HELP.contains(&format!("~{} ", char::from(key))), "{}", char::from(key));
            }
        }
    }

    /// The keys that go on, and the orders, do not depend on how what was typed is cut up.
    #[test]
    fn how_it_is_cut_up_does_not_matter() {
        let text = b"~?ls ~.\r~~x\r\x1b[200~\r~K\x1b[201~\r~/a\n~~\r~T~\r~.";
        let flat = |cut: usize| {
            let mut escapes = Escapes::default();
            let mut flat = Vec::new();
            for typed in text.chunks(cut).flat_map(|read| escapes.read(read)) {
                match typed {
                    Typed::Keys(keys) => flat.extend(keys.iter().map(|&key| Ok(key))),
                    Typed::Order(order) => flat.push(Err(order)),
                }
            }
            flat
        };
        for cut in 1..text.len() {
            assert_eq!(flat(cut), flat(text.len()), "{cut}");
        }
    }
}

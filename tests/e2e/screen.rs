//! A connection to the display of a test, for what has to be seen or done exactly: a window that goes, and
//! files that are dropped (XDND, <https://www.freedesktop.org/wiki/Specifications/XDND/>, version 5).

use std::path::Path;
use std::time::{Duration, Instant};

use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt as _, CreateWindowAux,
    EventMask, PropMode, SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, SelectionRequestEvent, Window,
    WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::desktop::Desktop;

/// How long a window may take to do what is asked of it.
const LIMIT: Duration = Duration::from_secs(20);

x11rb::atom_manager! {
    Atoms: AtomsCookie {
        XdndEnter, XdndPosition, XdndStatus, XdndDrop, XdndFinished, XdndAware, XdndSelection, XdndActionCopy,
        TARGETS, _NET_CLOSE_WINDOW,
        UriList: b"text/uri-list",
    }
}

/// The display.
pub(crate) struct Screen {
    connection: RustConnection,
    root: Window,
    atoms: Atoms,
}

impl Screen {
    /// Connects to the display of this desktop.
    pub(crate) fn of(desktop: &Desktop) -> Self {
        let (connection, number) =
            x11rb::connect(Some(desktop.display())).expect("the display takes connections");
        let root = connection.setup().roots[number].root;
        let atoms = Atoms::new(&connection)
            .expect("sent")
            .reply()
            .expect("names of the display");
        Self {
            connection,
            root,
            atoms,
        }
    }

    /// Asks a window to close, as its button in the title bar does.
    pub(crate) fn ask_to_close(&self, window: Window) {
        let message = ClientMessageEvent::new(32, window, self.atoms._NET_CLOSE_WINDOW, [0, 2, 0, 0, 0]);
        let to_the_window_manager = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        self.connection
            .send_event(false, self.root, to_the_window_manager, message)
            .expect("sent");
        self.connection.flush().expect("sent");
    }

    /// Tells from now on what happens to this window.
    pub(crate) fn watch(&self, window: Window) {
        let wanted = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        self.connection
            .change_window_attributes(window, &wanted)
            .expect("sent")
            .check()
            .expect("the window is there");
    }

    /// Waits until a watched window is on the screen no more.
    pub(crate) fn wait_until_gone(&self, window: Window) {
        let begun = Instant::now();
        loop {
            match self.next_event(begun) {
                Event::UnmapNotify(event) if event.window == window => return,
                Event::DestroyNotify(event) if event.window == window => return,
                _ => {}
            }
        }
    }

    /// Holds a file over the middle of a window, as a file manager does, until the window would take it.
    pub(crate) fn hold_file(&self, target: Window, file: &Path) -> Held<'_> {
        let aware = self
            .connection
            .get_property(false, target, self.atoms.XdndAware, AtomEnum::ATOM, 0, 1)
            .expect("sent")
            .reply()
            .expect("the window is there");
        assert!(
            aware.value32().and_then(|mut version| version.next()) >= Some(5),
            "the window says that things can be dropped on it"
        );
        let held = Held {
            screen: self,
            source: self.source_window(),
            target,
            uri: format!("file://{}\r\n", file.display().to_string().replace(' ', "%20")),
        };
        let enter = [held.source, 5 << 24, self.atoms.UriList, 0, 0];
        self.tell(target, self.atoms.XdndEnter, enter);
        let begun = Instant::now();
        let [x, y] = self.middle_of(target);
        // A hand moves more than once, and the answer to the first moves may be no: the window first asks what is
        // held over it.
        for step in 0.. {
            let position = (x + step % 8) << 16 | y;
            let moved = [held.source, 0, position, 0, self.atoms.XdndActionCopy];
            self.tell(target, self.atoms.XdndPosition, moved);
            let status = self.serve_until(self.atoms.XdndStatus, &held.uri, begun);
            if step >= 8 && status[1] & 1 == 1 {
                break;
            }
        }
        held
    }

    /// The window that holds the file, as the one of a file manager would.
    fn source_window(&self) -> Window {
        let source = self.connection.generate_id().expect("an id");
        let nothing_special = CreateWindowAux::new();
        self.connection
            .create_window(
                0,
                source,
                self.root,
                0,
                0,
                1,
                1,
                0,
                WindowClass::INPUT_OUTPUT,
                0,
                &nothing_special,
            )
            .expect("sent")
            .check()
            .expect("a window can be made");
        self.connection
            .set_selection_owner(source, self.atoms.XdndSelection, x11rb::CURRENT_TIME)
            .expect("sent")
            .check()
            .expect("what is dragged can be owned");
        source
    }

    fn middle_of(&self, window: Window) -> [u32; 2] {
        let size = self
            .connection
            .get_geometry(window)
            .expect("sent")
            .reply()
            .expect("the window is there");
        let (x, y) = (size.width / 2, size.height / 2);
        let (x, y) = (i16::try_from(x).unwrap(), i16::try_from(y).unwrap());
        let place = self
            .connection
            .translate_coordinates(window, self.root, x, y)
            .expect("sent");
        let place = place.reply().expect("the window is there");
        [place.dst_x, place.dst_y].map(|value| u32::try_from(value).expect("the window is on the screen"))
    }

    fn tell(&self, target: Window, kind: Atom, data: [u32; 5]) {
        let message = ClientMessageEvent::new(32, target, kind, data);
        self.connection
            .send_event(false, target, EventMask::NO_EVENT, message)
            .expect("sent");
        self.connection.flush().expect("sent");
    }

    /// Hands out what is dragged to whoever asks, until a message of this kind comes.
    fn serve_until(&self, kind: Atom, text: &str, begun: Instant) -> [u32; 5] {
        loop {
            match self.next_event(begun) {
                Event::ClientMessage(message) if message.type_ == kind => return message.data.as_data32(),
                Event::SelectionRequest(request) => self.hand_out(&request, text),
                _ => {}
            }
        }
    }

    fn hand_out(&self, request: &SelectionRequestEvent, text: &str) {
        let (requestor, property) = (request.requestor, request.property);
        let given = if request.target == self.atoms.UriList {
            let bytes = text.as_bytes();
            self.connection
                .change_property8(PropMode::REPLACE, requestor, property, request.target, bytes)
                .expect("sent");
            property
        } else if request.target == self.atoms.TARGETS {
            let targets = [self.atoms.UriList];
            self.connection
                .change_property32(PropMode::REPLACE, requestor, property, AtomEnum::ATOM, &targets)
                .expect("sent");
            property
        } else {
            x11rb::NONE
        };
        let answer = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor,
            selection: request.selection,
            target: request.target,
            property: given,
        };
        self.connection
            .send_event(false, requestor, EventMask::NO_EVENT, answer)
            .expect("sent");
        self.connection.flush().expect("sent");
    }

    fn next_event(&self, begun: Instant) -> Event {
        loop {
            if let Some(event) = self.connection.poll_for_event().expect("the display goes on") {
                return event;
            }
            assert!(begun.elapsed() < LIMIT, "the window answers");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A file that is held over a window.
pub(crate) struct Held<'a> {
    screen: &'a Screen,
    source: Window,
    target: Window,
    uri: String,
}

impl Held<'_> {
    /// Lets go.
    pub(crate) fn drop_it(self) {
        let screen = self.screen;
        let begun = Instant::now();
        screen.tell(self.target, screen.atoms.XdndDrop, [self.source, 0, 0, 0, 0]);
        let finished = screen.serve_until(screen.atoms.XdndFinished, &self.uri, begun);
        assert_eq!(finished[1] & 1, 1, "the window took what was dropped");
    }
}

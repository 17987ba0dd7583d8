//! Notifications as Xfce draws them: small windows with buttons.

use std::collections::HashMap;
use std::time::Duration;

use crate::desktop::{Desktop, wait_for};

/// The class of their windows.
const CLASS: &str = "xfce4-notifyd";

/// From the right edge to the middle of the last button, and from there to the one before. Xfce aligns
/// them to the right, all equally wide.
const LAST_BUTTON: i32 = 57;
const NEXT_BUTTON: i32 = 92;
/// From the lower edge to the middle of the buttons.
const BUTTON_HEIGHT: i32 = 31;

/// A notification on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Card {
    x: i32,
    y: i32,
    width: i32,
    height: i32,
}

/// The two buttons that answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Button {
    Approve,
    Reject,
}

impl Desktop {
    /// What is on the screen now, from the top.
    pub(crate) fn notifications(&self) -> Vec<Card> {
        let found = self.xdotool(&["search", "--onlyvisible", "--class", CLASS]);
        let mut cards: Vec<Card> = found.lines().filter_map(|window| self.card(window)).collect();
        cards.sort_by_key(|card| card.y);
        cards
    }

    fn card(&self, window: &str) -> Option<Card> {
        let geometry = self.xdotool(&["getwindowgeometry", "--shell", window]);
        let values: HashMap<&str, i32> = geometry
            .lines()
            .filter_map(|line| line.split_once('='))
            .filter_map(|(k, v)| Some((k, v.parse().ok()?)))
            .collect();
        let value = |name: &str| values.get(name).copied();
        let card = Card {
            x: value("X")?,
            y: value("Y")?,
            width: value("WIDTH")?,
            height: value("HEIGHT")?,
        };
        // Its helper windows are one pixel wide.
        (card.width > 100 && card.height > 50).then_some(card)
    }

    /// Waits until so many are on the screen and stand still.
    pub(crate) fn wait_for_notifications(&self, count: usize) -> Vec<Card> {
        wait_for(
            &format!("{count} notification(s) on the screen"),
            Duration::from_secs(20),
            || {
                let cards = Some(self.notifications()).filter(|cards| cards.len() == count)?;
                std::thread::sleep(Duration::from_millis(300));
                (self.notifications() == cards).then_some(cards)
            },
        )
    }

    /// Waits for the one notification.
    pub(crate) fn wait_for_notification(&self) -> Card {
        self.wait_for_notifications(1)[0]
    }

    /// Waits until none is left.
    pub(crate) fn wait_for_no_notification(&self) {
        wait_for("no notification on the screen", Duration::from_secs(20), || {
            self.notifications().is_empty().then_some(())
        });
    }

    /// Presses a button, as a hand does: the pointer goes there, then the button goes down and up.
    pub(crate) fn press(&self, card: Card, button: Button) {
        let steps = match button {
            Button::Reject => 0,
            Button::Approve => 1,
        };
        let x = (card.x + card.width - LAST_BUTTON - steps * NEXT_BUTTON).to_string();
        let y = (card.y + card.height - BUTTON_HEIGHT).to_string();
        self.xdotool(&["mousemove", "--sync", &x, &y]);
        std::thread::sleep(Duration::from_millis(150));
        self.xdotool(&["mousedown", "1"]);
        std::thread::sleep(Duration::from_millis(50));
        self.xdotool(&["mouseup", "1"]);
        // Away from where the next one appears: a pointer on a card keeps it from closing.
        self.xdotool(&["mousemove", "640", "880"]);
    }
}

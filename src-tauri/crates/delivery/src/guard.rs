//! Where outgoing requests may go (webhook spec §12; anchors: webhook security §5.2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use countersign_domain::UrlSource;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// Who may send to this machine itself: 127.0.0.0/8 and `::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoopbackPolicy {
    /// URLs that the operator configured, and no others.
    #[default]
    Configured,
    /// Every URL.
    Allow,
    /// No URL.
    Deny,
}

/// A word that names no [`LoopbackPolicy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the loopback policy must be `configured`, `allow` or `deny`")]
pub struct UnknownLoopbackPolicy;

impl FromStr for LoopbackPolicy {
    type Err = UnknownLoopbackPolicy;

    fn from_str(word: &str) -> Result<Self, UnknownLoopbackPolicy> {
        match word {
            "configured" => Ok(Self::Configured),
            "allow" => Ok(Self::Allow),
            "deny" => Ok(Self::Deny),
            _ => Err(UnknownLoopbackPolicy),
        }
    }
}

impl fmt::Display for LoopbackPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "configured",
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// What kind of place an address is, as far as the rules care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// An address of the internet. Always allowed.
    Public,
    /// This machine. Allowed by [`LoopbackPolicy`].
    Loopback,
    /// A network of one's own: RFC 1918, unique local, shared address space, and the ranges that are set
    /// aside for tests and documentation. Allowed for URLs of the operator.
    Private,
    /// A metadata service of a cloud, where machines get their credentials. Never allowed.
    Metadata,
    /// Link-local. Never allowed.
    LinkLocal,
    /// "No address": 0.0.0.0/8 and `::`, which reach this machine on many systems. Never allowed.
    Unspecified,
    /// Multicast or broadcast. Never allowed.
    Multicast,
    /// Ranges without any use, and addresses that hide another one that is not public. Never allowed.
    Reserved,
}

impl AddressKind {
    /// The kind of this address. An IPv4 address inside an IPv6 one (RFC 4291 §2.5.5.2) counts as itself.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            // Alibaba, Azure, Oracle; those of the others are link-local.
            [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => Self::Metadata,
            [0, ..] => Self::Unspecified,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [224..=239, ..] | [255, 255, 255, 255] => Self::Multicast,
            [240..=255, ..] => Self::Reserved,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Self::Private,
            // Shared address space, protocol assignments, documentation (three), 6to4 relays, benchmarks.
            [100, 64..=127, ..]
            | [192, 0, 0, _]
            | [192, 0, 2, _]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [192, 88, 99, _]
            | [198, 18..=19, ..] => Self::Private,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let segments = address.segments();
        match segments {
            [0, 0, 0, 0, 0, 0, 0, 0] => return Self::Unspecified,
            [0, 0, 0, 0, 0, 0, 0, 1] => return Self::Loopback,
            // Amazon keeps its services in fd00:ec2::/32, Google's metadata server is fd20:ce::254.
            [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254] => return Self::Metadata,
            [0xfe80..=0xfebf, ..] => return Self::LinkLocal,
            [0xff00..=0xffff, ..] => return Self::Multicast,
            // Unique local, the old site-local range, documentation (two), discard, segment routing, local NAT64.
            [0xfc00..=0xfdff, ..]
            | [0xfec0..=0xfeff, ..]
            | [0x2001, 0x0db8, ..]
            | [0x3fff, 0x0000..=0x0fff, ..]
            | [0x0100, 0, 0, 0, ..]
            | [0x5f00, ..]
            | [0x0064, 0xff9b, 1, ..] => return Self::Private,
            _ => {}
        }
        let embedded = match segments {
            // "IPv4-compatible" (RFC 4291 §2.5.5.1) and NAT64 (RFC 6052): in the last 32 bits.
            [0, 0, 0, 0, 0, 0, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
            // 6to4 (RFC 3056): behind the prefix.
            [0x2002, high, low, ..] => Some((high, low)),
            _ => None,
        };
        match embedded {
            None => Self::Public,
            Some((high, low)) => {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                match Self::of_v4(Ipv4Addr::new(a, b, c, d)) {
                    Self::Public => Self::Public,
                    _ => Self::Reserved,
                }
            }
        }
    }

    /// Whose URL a redirect is that comes from such an address. What answers in a network of the operator's own may
    /// send on within it; what answers from the internet may not send into it.
    pub fn source_of_redirect(self) -> UrlSource {
        match self {
            Self::Loopback | Self::Private => UrlSource::Operator,
            _ => UrlSource::Caller,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Loopback => "this machine itself",
            Self::Private => "an address of a private network",
            Self::Metadata => "the metadata service of a cloud",
            Self::LinkLocal => "a link-local address",
            Self::Unspecified => "no address of a receiver",
            Self::Multicast => "a multicast or broadcast address",
            Self::Reserved => "a reserved address",
        }
    }
}

/// Why a request does not go out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefused {
    /// The text is no URL, or not one for http or https, or it carries a user name, or port 0. Nothing was
    /// tried. The words are those of Flowise (webhook spec §11).
    #[error("Invalid callbackUrl: must be a valid http or https URL")]
    NotHttp,
    /// The address is one that this source may not reach. It begins with the words of Flowise (webhook spec §12).
    #[error("Access to this host is denied by policy. {address} is {}{}", .kind.describe(), blame(*.kind, *.source_of_url))]
    Denied {
        /// The address, as it was written or as the name resolved.
        address: IpAddr,
        /// What it is.
        kind: AddressKind,
        /// Who named the URL.
        source_of_url: UrlSource,
    },
}

/// What could be changed about it, if anything.
fn blame(kind: AddressKind, source: UrlSource) -> &'static str {
    match (kind, source) {
        (AddressKind::Loopback, UrlSource::Operator) => ", which the loopback policy does not allow.",
        (AddressKind::Loopback | AddressKind::Private, UrlSource::Caller) => {
            ", which a caller may not name as a receiver."
        }
        _ => ", where nothing is ever sent.",
    }
}

impl AddressRefused {
    /// Whether the URL is good and only its address is not allowed. Such a callback is accepted and its
    /// attempts fail, as recorded in the conformance case `ssrf-callback`; anything else is a 400.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }

    /// The text for a request of a flow: Flowise's for a refused address, our own for what is no HTTP address.
    pub fn message_for_flow(&self) -> &'static str {
        match self {
            Self::NotHttp => {
                "Invalid URL: it must be a valid http or https URL, without a user name or password"
            }
            Self::Denied { .. } => self.flowise_message(),
        }
    }

    /// The text that Flowise gives to a caller (webhook spec §12): other words for an entry of its list that
    /// is a range than for a single address.
    pub fn flowise_message(&self) -> &'static str {
        match self {
            Self::NotHttp => "Invalid callbackUrl: must be a valid http or https URL",
            Self::Denied { address, .. } => {
                let single = match address.to_canonical() {
                    IpAddr::V4(address) => matches!(
                        address.octets(),
                        [0, 0, 0, 0] | [169, 254, 169, 253 | 254] | [255, 255, 255, 255]
                    ),
                    IpAddr::V6(address) => matches!(
                        address.segments(),
                        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254]
                    ),
                };
                if single {
                    "Access to this host is denied by policy."
                } else {
                    "isDeniedIP: Error: Access to this host is denied by policy."
                }
            }
        }
    }
}

/// Decides where outgoing requests may go. It knows no names: what `localhost` means is what it resolves to,
/// and [`Client`](crate::Client) asks again for each address of a name at each attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressGuard {
    loopback: LoopbackPolicy,
}

impl AddressGuard {
    /// A guard with this policy for loopback. The other rules are fixed.
    pub const fn new(loopback: LoopbackPolicy) -> Self {
        Self { loopback }
    }

    /// Checks a URL as far as that goes without asking for names: it is absolute, http or https, has a host,
    /// no user name or password and not port 0, and if its host is an address, in whatever spelling, that
    /// address is allowed.
    ///
    /// # Errors
    /// [`AddressRefused`]; see [`AddressRefused::is_denied`].
    pub fn check_url(&self, text: &str, source: UrlSource) -> Result<Url, AddressRefused> {
        let url = Url::parse(text).map_err(|_| AddressRefused::NotHttp)?;
        if !matches!(url.scheme(), "http" | "https")
            || !url.username().is_empty()
            || url.password().is_some()
            || url.port() == Some(0)
        {
            return Err(AddressRefused::NotHttp);
        }
        match url.host() {
            None => return Err(AddressRefused::NotHttp),
            Some(Host::Domain(name)) if name.is_empty() || name == "." => {
                return Err(AddressRefused::NotHttp);
            }
            Some(Host::Domain(_)) => {}
            Some(Host::Ipv4(address)) => self.check_address(address.into(), source)?,
            Some(Host::Ipv6(address)) => self.check_address(address.into(), source)?,
        }
        Ok(url)
    }

    /// Checks one address.
    ///
    /// # Errors
    /// [`AddressRefused::Denied`].
    pub fn check_address(&self, address: IpAddr, source: UrlSource) -> Result<(), AddressRefused> {
        let kind = AddressKind::of(address);
        let allowed = match kind {
            AddressKind::Public => true,
            AddressKind::Loopback => match self.loopback {
                LoopbackPolicy::Configured => source == UrlSource::Operator,
                LoopbackPolicy::Allow => true,
                LoopbackPolicy::Deny => false,
            },
            AddressKind::Private => source == UrlSource::Operator,
            AddressKind::Metadata
            | AddressKind::LinkLocal
            | AddressKind::Unspecified
            | AddressKind::Multicast
            | AddressKind::Reserved => false,
        };
        if allowed {
            Ok(())
        } else {
            Err(AddressRefused::Denied {
                address,
                kind,
                source_of_url: source,
            })
        }
    }
}

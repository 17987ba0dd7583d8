use std::net::IpAddr;

use countersign_delivery::LoopbackPolicy::{Allow, Configured, Deny};
use countersign_delivery::{AddressGuard, AddressKind, AddressRefused, LoopbackPolicy};
use countersign_domain::UrlSource::{self, Caller, Operator};

/// What a guard says to one host: for operator and caller, under each policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Always,
    Never,
    /// Private: the operator always, a caller never.
    OperatorOnly,
    /// By policy.
    Loopback,
    /// A name: nothing is known before it is looked up.
    Name,
}

impl Expected {
    fn allows(self, policy: LoopbackPolicy, source: UrlSource) -> bool {
        match self {
            Self::Always | Self::Name => true,
            Self::Never => false,
            Self::OperatorOnly => source == Operator,
            Self::Loopback => policy == Allow || (policy == Configured && source == Operator),
        }
    }
}

const HOSTS: &[(&str, Expected)] = &[
    // Public, in several spellings.
    ("93.184.216.34", Expected::Always),
    ("1.1.1.1", Expected::Always),
    ("0x08080808", Expected::Always),
    ("[2606:4700:4700::1111]", Expected::Always),
    ("[::ffff:8.8.8.8]", Expected::Always),
    ("[64:ff9b::808:808]", Expected::Always),
    ("[2002:808:808::1]", Expected::Always),
    ("172.15.255.255", Expected::Always),
    ("172.32.0.0", Expected::Always),
    ("100.63.255.255", Expected::Always),
    ("100.128.0.0", Expected::Always),
    ("192.167.255.255", Expected::Always),
    ("223.255.255.255", Expected::Always),
    ("169.253.255.255", Expected::Always),
    ("169.255.0.0", Expected::Always),
    // Loopback.
    ("127.0.0.1", Expected::Loopback),
    ("127.1", Expected::Loopback),
    ("127.255.255.254", Expected::Loopback),
    ("2130706433", Expected::Loopback),
    ("0x7f000001", Expected::Loopback),
    ("0X7F.1", Expected::Loopback),
    ("0177.0.0.1", Expected::Loopback),
    ("017700000001", Expected::Loopback),
    ("127.0.0.1.", Expected::Loopback),
    ("１２７.0.0.1", Expected::Loopback),
    ("①②⑦.0.0.1", Expected::Loopback),
    ("127。0。0。1", Expected::Loopback),
    ("%31%32%37.0.0.1", Expected::Loopback),
    ("[::1]", Expected::Loopback),
    ("[0:0:0:0:0:0:0:1]", Expected::Loopback),
    ("[::ffff:127.0.0.1]", Expected::Loopback),
    ("[::ffff:7f00:1]", Expected::Loopback),
    ("[0:0:0:0:0:ffff:7f00:1]", Expected::Loopback),
    // Private and set aside.
    ("10.0.0.1", Expected::OperatorOnly),
    ("10.255.255.255", Expected::OperatorOnly),
    ("167772161", Expected::OperatorOnly),
    ("172.16.0.1", Expected::OperatorOnly),
    ("172.31.255.255", Expected::OperatorOnly),
    ("192.168.0.1", Expected::OperatorOnly),
    ("0xc0a80001", Expected::OperatorOnly),
    ("192.168.257", Expected::OperatorOnly),
    ("100.64.0.1", Expected::OperatorOnly),
    ("100.127.255.255", Expected::OperatorOnly),
    ("192.0.0.1", Expected::OperatorOnly),
    ("192.0.2.1", Expected::OperatorOnly),
    ("198.18.0.1", Expected::OperatorOnly),
    ("198.51.100.7", Expected::OperatorOnly),
    ("203.0.113.7", Expected::OperatorOnly),
    ("[fc00::1]", Expected::OperatorOnly),
    ("[fd12:3456::1]", Expected::OperatorOnly),
    ("[fec0::1]", Expected::OperatorOnly),
    ("[2001:db8::1]", Expected::OperatorOnly),
    ("[::ffff:10.0.0.1]", Expected::OperatorOnly),
    ("[64:ff9b:1::a00:1]", Expected::OperatorOnly),
    // Never.
    ("169.254.169.254", Expected::Never),
    ("169.254.169.254.", Expected::Never),
    ("169.254.169.253", Expected::Never),
    ("169.254.0.1", Expected::Never),
    ("169.254.170.2", Expected::Never),
    ("2852039166", Expected::Never),
    ("0xa9fea9fe", Expected::Never),
    ("0251.0376.0251.0376", Expected::Never),
    ("169.254.43518", Expected::Never),
    ("１６９.２５４.１６９.２５４", Expected::Never),
    ("[::ffff:169.254.169.254]", Expected::Never),
    ("[::ffff:a9fe:a9fe]", Expected::Never),
    ("[64:ff9b::a9fe:a9fe]", Expected::Never),
    ("[64:ff9b::127.0.0.1]", Expected::Never),
    ("[2002:a9fe:a9fe::1]", Expected::Never),
    ("[2002:7f00:1::1]", Expected::Never),
    ("[::127.0.0.1]", Expected::Never),
    ("[::169.254.169.254]", Expected::Never),
    ("[fe80::1]", Expected::Never),
    ("[febf::1]", Expected::Never),
    ("[fd00:ec2::254]", Expected::Never),
    ("[fd00:0ec2:0:0:0:0:0:0254]", Expected::Never),
    ("[fd20:ce::254]", Expected::Never),
    ("100.100.100.200", Expected::Never),
    ("168.63.129.16", Expected::Never),
    ("192.0.0.192", Expected::Never),
    ("0.0.0.0", Expected::Never),
    ("0", Expected::Never),
    ("0x0", Expected::Never),
    ("0.1.2.3", Expected::Never),
    ("[::]", Expected::Never),
    ("[::ffff:0.0.0.0]", Expected::Never),
    ("224.0.0.1", Expected::Never),
    ("239.255.255.255", Expected::Never),
    ("[ff02::1]", Expected::Never),
    ("255.255.255.255", Expected::Never),
    ("4294967295", Expected::Never),
    ("240.0.0.1", Expected::Never),
    ("254.1.2.3", Expected::Never),
    // Names.
    ("localhost", Expected::Name),
    ("localhost.", Expected::Name),
    ("LOCALHOST", Expected::Name),
    ("127.0.0.1.nip.io", Expected::Name),
    ("metadata.google.internal", Expected::Name),
    ("ci.example.org", Expected::Name),
];

#[test]
fn every_spelling_of_an_address_is_judged_by_what_it_is() {
    assert!(HOSTS.len() >= 60);
    let mut wrong = Vec::new();
    for (host, expected) in HOSTS {
        for policy in [Configured, Allow, Deny] {
            for source in [Operator, Caller] {
                for url in [format!("http://{host}/"), format!("https://{host}:8443/hook?a=1")] {
                    let answer = AddressGuard::new(policy).check_url(&url, source);
                    if answer.is_ok() != expected.allows(policy, source) {
                        wrong.push(format!("{url} under {policy} by {source:?}: {answer:?}"));
                    }
                    if let Err(refused) = answer {
                        assert!(refused.is_denied(), "{url} is a good URL: {refused:?}");
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_text_that_is_no_http_url_is_refused_in_the_words_of_flowise() {
    let texts = [
        "",
        " ",
        "not a url",
        "/relative",
        "//host/x",
        "127.0.0.1:8080",
        "localhost:8080/x",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:,x",
        "ws://ci.example.org/",
        "http://",
        "http:///",
        "http://.",
        "http://user@ci.example.org/",
        "http://user:pass@ci.example.org/",
        "http://:pass@ci.example.org/",
        "http://127.0.0.1@ci.example.org/",
        "http://ci.example.org:0/",
        "http://ci.example.org:65536/",
        "http://ci.example.org:x/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://256.0.0.1/",
        "http://a b/",
        "http://a\0b/",
    ];
    for text in texts {
        let refused = AddressGuard::new(Allow).check_url(text, Operator);
        assert_eq!(refused, Err(AddressRefused::NotHttp), "{text:?}");
    }
    assert_eq!(
        AddressRefused::NotHttp.to_string(),
        "Invalid callbackUrl: must be a valid http or https URL"
    );
    assert!(!AddressRefused::NotHttp.is_denied());
}

#[test]
fn a_good_url_comes_back_as_it_is() {
    let url = AddressGuard::default()
        .check_url("https://ci.example.org:8443/a/b?c=d%20e", Caller)
        .unwrap();
    assert_eq!(url.as_str(), "https://ci.example.org:8443/a/b?c=d%20e");
}

#[test]
fn a_refusal_begins_with_the_words_of_flowise_and_says_why() {
    let refused = |host: &str, policy, source| {
        AddressGuard::new(policy)
            .check_url(&format!("http://{host}/"), source)
            .unwrap_err()
    };
    let cases = [
        (
            "127.0.0.1",
            Deny,
            Operator,
            "isDeniedIP: Error: Access to this host is denied by policy.",
            "loopback policy",
        ),
        (
            "127.0.0.1",
            Configured,
            Caller,
            "isDeniedIP: Error: Access to this host is denied by policy.",
            "caller",
        ),
        (
            "[::1]",
            Deny,
            Operator,
            "Access to this host is denied by policy.",
            "this machine",
        ),
        (
            "10.1.2.3",
            Configured,
            Caller,
            "isDeniedIP: Error: Access to this host is denied by policy.",
            "private",
        ),
        (
            "169.254.169.254",
            Allow,
            Operator,
            "Access to this host is denied by policy.",
            "link-local",
        ),
        (
            "[fd00:ec2::254]",
            Allow,
            Operator,
            "Access to this host is denied by policy.",
            "metadata",
        ),
        (
            "0.0.0.0",
            Allow,
            Operator,
            "Access to this host is denied by policy.",
            "0.0.0.0",
        ),
    ];
    for (host, policy, source, flowise, reason) in cases {
        let refused = refused(host, policy, source);
        assert_eq!(refused.flowise_message(), flowise, "{host}");
        let text = refused.to_string();
        assert!(
            text.starts_with("Access to this host is denied by policy. "),
            "{text}"
        );
        assert!(text.contains(reason), "{text} does not name {reason}");
    }
}

#[test]
fn mapped_addresses_have_the_kind_of_what_they_map() {
    for text in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "8.8.8.8",
        "224.0.0.1",
        "0.0.0.0",
        "240.0.0.1",
    ] {
        let plain: IpAddr = text.parse().unwrap();
        let mapped: IpAddr = format!("::ffff:{text}").parse().unwrap();
        assert_eq!(AddressKind::of(plain), AddressKind::of(mapped), "{text}");
    }
}

#[test]
fn policies_have_words() {
    for policy in [Configured, Allow, Deny] {
        assert_eq!(policy.to_string().parse(), Ok(policy));
        assert_eq!(serde_json::to_value(policy).unwrap(), policy.to_string());
    }
    assert!("open".parse::<LoopbackPolicy>().is_err());
    assert_eq!(LoopbackPolicy::default(), Configured);
}

/// What the internet answers does not lead into the operator's networks.
#[test]
fn a_redirect_is_the_operators_only_within_the_operators_networks() {
    for (address, source) in [
        ("127.0.0.1", Operator),
        ("::1", Operator),
        ("::ffff:127.0.0.1", Operator),
        ("10.1.2.3", Operator),
        ("100.64.0.1", Operator),
        ("fd12::1", Operator),
        ("93.184.216.34", Caller),
        ("2606:4700:4700::1111", Caller),
        ("169.254.169.254", Caller),
        ("64:ff9b::7f00:1", Caller),
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(AddressKind::of(address).source_of_redirect(), source, "{address}");
    }
}

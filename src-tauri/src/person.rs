//! Who sits at this desktop.

/// The account's name, which decisions of this window carry; nothing if the system does not say.
pub(crate) fn account_name(environment: impl Fn(&str) -> Option<String>) -> Option<String> {
    ["USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .filter_map(environment)
        .map(|name| countersign_domain::display_line(&name, 64))
        .find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::account_name;

    #[test]
    fn the_first_name_that_is_set_counts() {
        let environment = |name: &str| match name {
            "USER" => Some(String::new()),
            "LOGNAME" => Some("ana\n".to_owned()),
            _ => None,
        };
        assert_eq!(
            account_name(environment).as_deref(),
            Some("ana"),
            "an empty name is none"
        );
        assert_eq!(account_name(|_| None), None, "no name is made up");
    }
}

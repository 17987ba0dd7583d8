use countersign_signature::flowise_signature;

use crate::secret;

#[test]
fn the_vectors_of_the_specification_are_reproduced() {
    let key = secret("cb_demo");
    assert_eq!(
        flowise_signature(
            &key,
            br#"{"status":"SUCCESS","chatId":"c-1","data":{"text":"done"}}"#
        ),
        "sha256=c187c69abc2424334ac2cd03665f42e0d8f053a973b7050ec57930701120a627",
    );
    let error =
        r#"{"status":"ERROR","chatId":"c-1","error":"Error: predictionsServices.buildChatflow - boom é"}"#;
    assert_eq!(
        flowise_signature(&key, error.as_bytes()),
        "sha256=43d1ecf23848d12dacf29d902dfa9827a42d46d923611c177a344e3eb0740e9b",
    );
}

#[test]
fn a_secret_with_the_prefix_of_standard_webhooks_is_used_as_text() {
    // The recorded vector of webhook spec §7: `whsec_demo` is not decoded there.
    assert_eq!(
        flowise_signature(&secret("whsec_demo"), br#"{"event":"push","n":1}"#),
        "sha256=52d486aa07b3c26e8683f158699b0c2a547e1203f0cc33c2f85f65d2c5703a83",
    );
}

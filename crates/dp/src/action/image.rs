//! Expands `$(VAR)` in image names, with the syntax Kubernetes uses for container commands.

use k8s_openapi::api::core::v1::EnvVar;

/// `image` with each `$(NAME)` replaced by the literal value of that variable; `$$` escapes, unknown
/// names and variables without a literal value stay verbatim (contract-dp §10.4). The last of
/// several variables of one name counts.
pub fn expand(image: &str, env: &[EnvVar]) -> String {
    let value = |name: &str| {
        let last = env.iter().rev().find(|v| v.name == name)?;
        last.value_from.is_none().then(|| last.value.clone().unwrap_or_default())
    };
    let mut out = String::with_capacity(image.len());
    let mut rest = image;
    while let Some(at) = rest.find('$') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = tail.strip_prefix("$$") {
            out.push('$');
            rest = after;
            continue;
        }
        let named = tail.strip_prefix("$(").and_then(|t| t.split_once(')'));
        let Some((name, after)) = named else {
            out.push('$');
            rest = tail.get(1..).unwrap_or_default();
            continue;
        };
        match value(name) {
            Some(text) => out.push_str(&text),
            None => out.extend(["$(", name, ")"]),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_as_the_kubelet_does() {
        let var =
            |name: &str, value: &str| EnvVar { name: name.into(), value: Some(value.into()), ..EnvVar::default() };
        let env = [var("TAG", "1"), var("TAG", "2")];
        for (image, expected) in [
            ("docker.io/postgres:$(TAG)", "docker.io/postgres:2"),
            ("x:$(NONE)", "x:$(NONE)"),
            ("x:$$(TAG)", "x:$(TAG)"),
            ("x:$(TAG", "x:$(TAG"),
            ("x$", "x$"),
        ] {
            assert_eq!(expand(image, &env), expected);
        }
    }
}

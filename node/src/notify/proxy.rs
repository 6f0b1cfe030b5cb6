//! Which proxy a request takes. Source: Go's `httpproxy` and prometheus/common's `ProxyConfig`.

use http::header::{HeaderMap, HeaderName};
use reqwest::{NoProxy, Proxy};

use super::BuildError;
use super::http::secret_header;
use crate::config::http::ProxyConfig;

/// Never proxied when the list of exceptions is looked at, as in Go.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// The process's environment; tests pass another one.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The proxies of `config`; none is a direct connection.
/// # Errors
/// On a URL that no proxy can have.
pub(crate) fn proxies(
    config: &ProxyConfig,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Proxy>, BuildError> {
    let either = |upper: &str| env(upper).or_else(|| env(&upper.to_lowercase()));
    let bad = |error: reqwest::Error| BuildError::new("proxy", error.without_url());
    let mut proxies = Vec::new();
    let mut exceptions = None;
    if config.from_environment {
        exceptions = Some(either("NO_PROXY").unwrap_or_default());
        if let Some(url) = either("HTTP_PROXY") {
            proxies.push(Proxy::http(url).map_err(bad)?);
        }
        if let Some(url) = either("HTTPS_PROXY") {
            proxies.push(Proxy::https(url).map_err(bad)?);
        }
    } else if let Some(url) = &config.url {
        exceptions = (!config.no_proxy.is_empty()).then(|| config.no_proxy.clone());
        proxies.push(Proxy::all(url.as_str()).map_err(bad)?);
    }
    let headers = connect_headers(config)?;
    let finish = |mut proxy: Proxy| {
        if let Some(list) = &exceptions {
            proxy = proxy.no_proxy(NoProxy::from_string(&format!("{list},{LOOPBACK}")));
        }
        if headers.is_empty() { proxy } else { proxy.headers(headers.clone()) }
    };
    Ok(proxies.into_iter().map(finish).collect())
}

fn connect_headers(config: &ProxyConfig) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    for (name, values) in &config.connect_headers {
        let bad = || BuildError::plain(format!("proxy_connect_header: {name} is no header"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        for value in values {
            headers.append(key.clone(), secret_header(value.reveal()).map_err(|_| bad())?);
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxies as they print, with these variables set.
    fn found(config: &ProxyConfig, env: &[(&str, &str)]) -> Vec<String> {
        let lookup = |name: &str| {
            env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let all = proxies(config, &lookup).unwrap();
        all.iter().map(|proxy| format!("{proxy:?}")).collect()
    }

    #[test]
    fn the_environment_counts_only_when_asked_for() {
        let env = [("HTTP_PROXY", "http://one.test:1"), ("https_proxy", "http://two.test:2")];
        assert!(found(&ProxyConfig::default(), &env).is_empty());
        let asked = ProxyConfig { from_environment: true, ..ProxyConfig::default() };
        let all = found(&asked, &env);
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[0].contains("one.test") && all[1].contains("two.test"), "{all:?}");
        assert!(found(&asked, &[]).is_empty());
    }

    #[test]
    fn a_header_that_is_none_is_refused() {
        let headers = vec![("a b".to_owned(), vec!["x".into()])];
        let config = ProxyConfig { connect_headers: headers, ..ProxyConfig::default() };
        let error = proxies(&config, &|_| None).unwrap_err().to_string();
        assert_eq!(error, "proxy_connect_header: a b is no header");
    }
}

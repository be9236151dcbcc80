//! Where a resource stands. A plan of Terraform rarely says so in a change: its
//! region follows from an attribute, an ARN, a zone, from what it hangs on, or
//! from the provider's configuration.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::Spot;

/// Services of AWS that stand in no region.
const GLOBAL: &[&str] =
    &["iam", "route53", "cloudfront", "organizations", "globalaccelerator", "waf", "shield"];

/// Attributes that name what a resource hangs on, in whose region it stands.
const PARENTS: &[&str] = &[
    "security_group_id",
    "subnet_id",
    "vpc_id",
    "network_acl_id",
    "route_table_id",
    "instance_id",
    "load_balancer_arn",
    "listener_arn",
    "bucket",
];

/// Providers that make nothing anywhere.
const NOWHERE: &[&str] =
    &["null", "random", "tls", "time", "local", "archive", "template", "terraform", "cloudinit"];

/// The attributes of a resource that may tell where it is. Everything else is
/// skipped while it is read.
#[derive(Debug, Default)]
pub(super) struct Attributes(BTreeMap<&'static str, String>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Attributes, D::Error> {
        deserializer.deserialize_any(Attributes::default())
    }
}

impl<'de> Visitor<'de> for Attributes {
    type Value = Attributes;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a resource's attributes")
    }

    fn visit_unit<E>(self) -> Result<Attributes, E> {
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Attributes, A::Error> {
        const NAMES: &[&str] = &[
            "region",
            "location",
            "arn",
            "id",
            "availability_zone",
            "availabilityZone",
            "zone",
            "project",
        ];
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            match NAMES.iter().chain(PARENTS).find(|name| **name == key) {
                Some(name) => {
                    if let Value::String(text) = map.next_value::<Value>()? {
                        self.0.insert(name, text);
                    }
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(self)
    }
}

impl Attributes {
    /// Forgets what the plan marks as sensitive.
    pub(super) fn without(mut self, sensitive: &Value) -> Attributes {
        if *sensitive == Value::Bool(true) {
            self.0.clear();
        }
        self.0.retain(|name, _| sensitive.get(name).is_none_or(|it| *it == Value::Bool(false)));
        self
    }

    /// A region that is known by its name alone.
    pub(super) fn region(name: &str) -> Option<Spot> {
        Some(Spot::Region { region: region(name)?, account: None })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The place that the attributes themselves tell.
    pub(super) fn spot(&self) -> Option<Spot> {
        let arn = ["arn", "id"].into_iter().filter_map(|name| self.get(name)).find_map(of_arn);
        if arn == Some(Spot::Global) {
            return arn;
        }
        let account = match &arn {
            Some(Spot::Region { account, .. }) => account.clone(),
            Some(Spot::Global | Spot::Key(_)) | None => {
                self.get("project").filter(|it| is_plain(it)).map(str::to_owned)
            }
        };
        let named = ["region", "location"].into_iter().find_map(|name| region(self.get(name)?));
        let zone = || {
            self.get("availability_zone")
                .or(self.get("availabilityZone"))
                .or(self.get("zone"))
                .and_then(of_zone)
        };
        match named {
            Some(region) => Some(Spot::Region { region, account }),
            None => arn.or_else(|| zone().map(|region| Spot::Region { region, account })),
        }
    }
}

/// The name of a region as it is compared and kept, if this is one.
fn region(text: &str) -> Option<String> {
    let name = text.replace(' ', "").to_lowercase();
    is_plain(&name).then_some(name)
}

fn is_plain(text: &str) -> bool {
    let plain = |it: char| it.is_ascii_alphanumeric() || it == '-';
    !text.is_empty() && text.len() <= 40 && text.chars().all(plain)
}

/// `arn:partition:service:region:account:…`
pub(super) fn of_arn(text: &str) -> Option<Spot> {
    let mut parts = text.split(':');
    let [scheme, _, service, region_name, account] =
        std::array::from_fn(|_| parts.next().unwrap_or_default());
    if scheme != "arn" {
        return None;
    }
    if region_name.is_empty() {
        return GLOBAL.contains(&service).then_some(Spot::Global);
    }
    let account = Some(account).filter(|it| is_plain(it)).map(str::to_owned);
    Some(Spot::Region { region: region(region_name)?, account })
}

/// `us-east-1a` stands in `us-east-1`, `europe-west1-b` in `europe-west1`.
fn of_zone(text: &str) -> Option<String> {
    let name = region(text)?;
    let (rest, last) = name.split_at_checked(name.len().checked_sub(1)?)?;
    if !last.chars().all(|it| it.is_ascii_alphabetic()) {
        return Some(name);
    }
    match rest.strip_suffix('-') {
        Some(region) => Some(region.to_owned()),
        None if rest.ends_with(|it: char| it.is_ascii_digit()) => Some(rest.to_owned()),
        None => Some(name),
    }
}

/// Resources whose place is known, by their ids.
#[derive(Default)]
pub(super) struct Known(HashMap<String, Option<Spot>>);

impl Known {
    /// Learns from a resource. An id that stands in two places tells nothing.
    pub(super) fn learn(&mut self, attributes: &Attributes) {
        let Some(spot) = attributes.spot() else { return };
        for name in ["id", "arn"] {
            if let Some(id) = attributes.get(name) {
                let entry = self.0.entry(id.to_owned()).or_insert_with(|| Some(spot.clone()));
                if entry.as_ref().is_some_and(|it| *it != spot) {
                    *entry = None;
                }
            }
        }
    }

    /// The place of what a resource hangs on.
    pub(super) fn of_parents(&self, attributes: &Attributes) -> Option<Spot> {
        let parents = PARENTS.iter().filter_map(|name| attributes.get(name));
        parents.filter_map(|id| self.0.get(id)?.clone()).find(|spot| *spot != Spot::Global)
    }
}

/// The providers' configuration: which key a resource has, and which region a key.
#[derive(Default)]
pub(super) struct Providers {
    /// Key (`aws.eu`) to region.
    pub(super) regions: BTreeMap<String, Option<String>>,
    /// Module path and address without indices, to key.
    pub(super) resources: HashMap<String, String>,
}

/// What is known of one resource but its attributes.
pub(super) struct About<'a> {
    pub(super) address: &'a str,
    pub(super) module: &'a str,
    /// `registry.terraform.io/hashicorp/aws`
    pub(super) provider: &'a str,
}

impl Providers {
    /// The place by the provider's configuration; else a key that two
    /// resources share only where nothing tells them apart.
    pub(super) fn spot(&self, about: &About<'_>, attributes: &Attributes) -> Spot {
        let name = about.provider.rsplit('/').next().unwrap_or(about.provider);
        if NOWHERE.contains(&name) {
            return Spot::Global;
        }
        let key = self.resources.get(&without_indices(about.address));
        if let Some(key) = key
            && let Some(configured) = self.regions.get(key)
        {
            return match configured {
                Some(region) => Spot::Region { region: region.clone(), account: None },
                None => Spot::Key(format!("{} {key}", about.provider)),
            };
        }
        // A removed resource has no configuration; one of a module has a key of its own.
        let parent = PARENTS.iter().find_map(|name| attributes.get(name)).unwrap_or_default();
        Spot::Key(format!("{} {} {parent}", about.provider, about.module))
    }

    /// Reads an expression: a constant, or a variable whose value is known.
    pub(super) fn region_of(expression: &Value, variables: &Value) -> Option<String> {
        if let Some(text) = expression.get("constant_value").and_then(Value::as_str) {
            return region(text);
        }
        let references = expression.get("references")?.as_array()?;
        let variable = references.iter().find_map(|it| it.as_str()?.strip_prefix("var."))?;
        region(variables.get(variable)?.get("value")?.as_str()?)
    }
}

/// `module.a["x.y"].aws_b.c[0]` is `module.a.aws_b.c`.
pub(super) fn without_indices(address: &str) -> String {
    let mut plain = String::new();
    let mut characters = address.chars();
    while let Some(character) = characters.next() {
        if character != '[' {
            plain.push(character);
            continue;
        }
        let mut quoted = false;
        while let Some(inner) = characters.next() {
            match inner {
                '"' => quoted = !quoted,
                '\\' if quoted => {
                    characters.next();
                }
                ']' if !quoted => break,
                _ => {}
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(attributes: &str, expected: &str) {
        let attributes: Attributes = serde_json::from_str(attributes).unwrap();
        let text = match attributes.spot() {
            None => "none".to_owned(),
            Some(Spot::Global) => "global".to_owned(),
            Some(Spot::Key(key)) => key,
            Some(Spot::Region { region, account }) => {
                format!("{region} {}", account.unwrap_or_default())
            }
        };
        assert_eq!(text.trim_end(), expected);
    }

    #[test]
    fn attributes_tell_where_a_resource_is() {
        check("null", "none");
        check(r#"{"a": {"region": "x"}, "region": 1}"#, "none");
        check(r#"{"region": "eu-west-1"}"#, "eu-west-1");
        check(r#"{"location": "West Europe"}"#, "westeurope");
        check(
            r#"{"arn": "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1"}"#,
            "us-east-1 123456789012",
        );
        check(r#"{"arn": "arn:aws:iam::123456789012:role/x", "region": "a"}"#, "global");
        check(r#"{"arn": "arn:aws:s3:::bucket", "region": "us-east-1"}"#, "us-east-1");
        check(r#"{"availability_zone": "us-east-1a"}"#, "us-east-1");
        check(r#"{"zone": "europe-west1-b", "project": "shop"}"#, "europe-west1 shop");
        check(r#"{"zone": "1"}"#, "1");
        check(r#"{"region": "\u001b[31m"}"#, "none");
    }

    #[test]
    fn indices_are_dropped_from_addresses() {
        for (address, expected) in [
            ("aws_a.b", "aws_a.b"),
            ("module.a[0].aws_b.c[\"x\"]", "module.a.aws_b.c"),
            ("module.a[\"x].y\\\"]\"].aws_b.c", "module.a.aws_b.c"),
        ] {
            assert_eq!(without_indices(address), expected);
        }
    }
}

//! Something that was named or found, with its properties as they are shown.

use super::PropertyName;
use super::users::id_of;
use crate::output::nice::{nice_bytes, nice_number, ratio};
use crate::output::{Json, date, date_with_seconds};
use std::cell::OnceCell;
use zferry_zpool::Error;
use zferry_zpool::dsl::property::{DatasetTypes, Found, Property, Source, Value};
use zferry_zpool::dsl::{Dataset, DslPool, Entity, EntityName, Part, Since, UserSpace};

/// A file system, volume, snapshot or bookmark.
#[derive(Debug)]
pub(crate) struct Handle<'a> {
    pub(crate) dsl: &'a DslPool<'a>,
    pub(crate) entity: Entity,
    user_properties: OnceCell<Vec<(String, Found)>>,
}

/// A value as it is shown, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) source: Source,
}

impl<'a> Handle<'a> {
    pub(crate) const fn new(dsl: &'a DslPool<'a>, entity: Entity) -> Self {
        Self {
            dsl,
            entity,
            user_properties: OnceCell::new(),
        }
    }

    /// Its full name.
    pub(crate) fn name(&self) -> &str {
        self.entity.name()
    }

    /// What it is.
    pub(crate) fn types(&self) -> DatasetTypes {
        self.entity.types()
    }

    /// What JSON says of it, with its properties.
    pub(crate) fn json(&self, properties: Json, as_int: bool) -> Json {
        let kind = match self.types() {
            DatasetTypes::VOLUME => "VOLUME",
            DatasetTypes::SNAPSHOT => "SNAPSHOT",
            DatasetTypes::BOOKMARK => "BOOKMARK",
            _ => "FILESYSTEM",
        };
        let name = EntityName::new(self.name());
        let mut members = vec![
            ("name", Json::text(self.name())),
            ("type", Json::text(kind)),
            ("pool", Json::text(name.pool())),
            ("createtxg", Json::number(self.entity.creation_txg().0, as_int)),
        ];
        if let Part::Snapshot(snapshot) = name.part {
            members.push(("dataset", Json::text(name.dataset)));
            members.push(("snapshot_name", Json::text(snapshot)));
        }
        members.push(("properties", properties));
        Json::Object(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// The users' properties that it has. Bookmarks have none.
    pub(crate) fn user_properties(&self) -> Result<&[(String, Found)], Error> {
        if let Some(properties) = self.user_properties.get() {
            return Ok(properties);
        }
        let properties = match self.entity.dataset() {
            Some(dataset) => self.dsl.user_settings(dataset)?,
            None => Vec::new(),
        };
        Ok(self.user_properties.get_or_init(|| properties))
    }

    /// A property as it is shown: for people, or, if `literal`, with all its digits. `None` where it has no value.
    pub(crate) fn shown(&self, property: &PropertyName, literal: bool) -> Result<Option<Shown>, Error> {
        match property {
            PropertyName::Native(property) => self.native(*property, literal),
            PropertyName::User(name) => {
                let found = self.user_properties()?.iter().find(|(other, _)| other == name);
                Ok(found.map(|(_, found)| Shown {
                    text: text_of(&found.value),
                    source: found.source.clone(),
                }))
            }
            PropertyName::UserSpace(which, name) => self.user_space(*which, name, literal),
            PropertyName::Written(name) => self.written(name, literal),
        }
    }

    fn native(&self, property: Property, literal: bool) -> Result<Option<Shown>, Error> {
        if property == Property::ReceiveResumeToken {
            return self.resume_token();
        }
        let Some(found) = self.dsl.property(&self.entity, property)? else {
            return Ok(None);
        };
        let text = match (property, &found.value) {
            (Property::MountPoint, Value::Text(path)) => Some(self.mount_point(path, &found.source)),
            (_, value) => show(property, value, literal),
        };
        Ok(text.map(|text| Shown {
            text,
            source: found.source,
        }))
    }

    /// The token with which an interrupted receive goes on.
    fn resume_token(&self) -> Result<Option<Shown>, Error> {
        let Some(head) = self.entity.dataset().filter(|dataset| !dataset.is_snapshot()) else {
            return Ok(None);
        };
        let token = super::resume_token(self.dsl, head)?;
        Ok(token.map(|text| Shown {
            text,
            source: Source::None,
        }))
    }

    /// Where it is mounted: below where its ancestor with the property is.
    fn mount_point(&self, path: &str, source: &Source) -> String {
        if !path.starts_with('/') {
            return path.to_owned();
        }
        let set_by = match source {
            Source::Inherited(from) => from.as_str(),
            Source::Default => "",
            Source::None | Source::Local | Source::Received => self.name(),
        };
        let below = self.name().strip_prefix(set_by).unwrap_or_default();
        let below = below.strip_prefix('/').unwrap_or(below);
        match (path, below) {
            (_, "") => path.to_owned(),
            ("/", _) => format!("/{below}"),
            _ => format!("{path}/{below}"),
        }
    }

    fn user_space(&self, which: UserSpace, name: &str, literal: bool) -> Result<Option<Shown>, Error> {
        let who = name.strip_prefix(which.prefix()).unwrap_or_default();
        let (Some(dataset), Some(id)) = (self.entity.dataset(), id_of(which.kind, who)) else {
            return Ok(None);
        };
        let value = self.dsl.user_space(dataset, which, id)?;
        Ok(value.map(|value| Shown {
            text: match (literal, value) {
                (true, _) => value.to_string(),
                (false, 0) if which.is_quota => "none".to_owned(),
                (false, _) if which.is_objects => nice_number(value),
                (false, _) => nice_bytes(value),
            },
            source: Source::Local,
        }))
    }

    /// `written@snapshot`, `written#bookmark`, or either with a full name.
    fn written(&self, name: &str, literal: bool) -> Result<Option<Shown>, Error> {
        let Some(dataset) = self.entity.dataset() else {
            return Ok(None);
        };
        let (_, since) = name.split_at("written".len());
        let full = match since.get(1..) {
            Some(other) if other.contains(['@', '#']) => other.to_owned(),
            _ => format!("{}{since}", dataset.dir.name),
        };
        let value = self.written_since(dataset, &full)?;
        Ok(value.map(|value| Shown {
            text: if literal {
                value.to_string()
            } else {
                nice_bytes(value)
            },
            source: Source::Local,
        }))
    }

    fn written_since(&self, dataset: &Dataset, since: &str) -> Result<Option<u64>, Error> {
        let sizes = if let Some(bookmark) = self.dsl.bookmark(since)? {
            self.dsl.written_since(dataset, Since::Bookmark(&bookmark))?
        } else {
            match self.dsl.dataset(since)?.filter(Dataset::is_snapshot) {
                Some(snapshot) => self.dsl.written_since(dataset, Since::Snapshot(&snapshot))?,
                None => None,
            }
        };
        Ok(sizes.map(|sizes| sizes.used))
    }

    /// What came with a stream for a property, whether it counts or not.
    pub(crate) fn received(&self, property: &PropertyName, literal: bool) -> Result<Option<String>, Error> {
        let Some(dataset) = self.entity.dataset() else {
            return Ok(None);
        };
        let settings = self.dsl.received_settings(dataset)?;
        let name = property.name();
        let Some(setting) = settings.iter().find(|setting| setting.name == name) else {
            return Ok(None);
        };
        Ok(match property {
            PropertyName::Native(property) => {
                let description = property.description();
                let can_be_received = description.applies_to(self.types()) && !description.is_read_only();
                can_be_received
                    .then(|| show(*property, &setting.value, literal))
                    .flatten()
            }
            _ => Some(text_of(&setting.value)),
        })
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    }
}

/// A value as zfs(8) shows it; `None` where it is a number for which no word stands.
fn show(property: Property, value: &Value, literal: bool) -> Option<String> {
    let number = match value {
        Value::Text(text) => return Some(text.clone()),
        Value::Number(number) => *number,
    };
    let digits = || number.to_string();
    Some(match property {
        Property::Creation if !literal => date(number),
        Property::SnapshotsChanged if !literal => date_with_seconds(number),
        Property::Quota | Property::RefQuota | Property::Reservation | Property::RefReservation
            if number == 0 && !literal =>
        {
            "none".to_owned()
        }
        Property::FilesystemLimit
        | Property::SnapshotLimit
        | Property::FilesystemCount
        | Property::SnapshotCount
            if number == u64::MAX =>
        {
            "none".to_owned()
        }
        Property::CompressRatio | Property::RefCompressRatio => ratio(number, literal),
        Property::Mounted => if number == 0 { "no" } else { "yes" }.to_owned(),
        // Identities and counters are of no use when they are shortened.
        Property::Guid
        | Property::KeyGuid
        | Property::IvsetGuid
        | Property::CreateTxg
        | Property::ObjsetId
        | Property::Pbkdf2Iters => digits(),
        _ if matches!(
            property.description().kind,
            zferry_zpool::dsl::property::Kind::Index { .. }
        ) =>
        {
            property.description().word(number)?.to_owned()
        }
        _ if literal => digits(),
        Property::Referenced
        | Property::Available
        | Property::Used
        | Property::UsedBySnapshots
        | Property::UsedByDataset
        | Property::UsedByRefReservation
        | Property::UsedByChildren
        | Property::Quota
        | Property::RefQuota
        | Property::Reservation
        | Property::RefReservation => nice_bytes(number),
        _ => nice_number(number),
    })
}

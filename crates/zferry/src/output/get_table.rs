//! The tables of `get`: a row for each property of each thing.

use super::Json;
use std::io::{self, Write};
use zferry_zpool::dsl::property::Source;

/// A column of such a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GetColumn {
    Name,
    Property,
    Value,
    Received,
    Source,
}

impl GetColumn {
    const fn header(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::Property => "PROPERTY",
            Self::Value => "VALUE",
            Self::Received => "RECEIVED",
            Self::Source => "SOURCE",
        }
    }
}

/// Where a value comes from, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShownSource(pub(crate) Source);

impl ShownSource {
    fn text(&self) -> String {
        match &self.0 {
            Source::None => "-".to_owned(),
            Source::Default => "default".to_owned(),
            Source::Local => "local".to_owned(),
            Source::Received => "received".to_owned(),
            Source::Inherited(from) => format!("inherited from {from}"),
        }
    }

    /// As JSON has it. `received` is the value that came with a stream.
    pub(crate) fn json(&self, received: Option<&str>) -> Json {
        let (kind, data) = match &self.0 {
            Source::None => ("NONE", "-"),
            Source::Default => ("DEFAULT", "-"),
            Source::Local => ("LOCAL", "-"),
            Source::Inherited(from) => ("INHERITED", from.as_str()),
            Source::Received => ("RECEIVED", received.unwrap_or("-")),
        };
        Json::object([("type", Json::text(kind)), ("data", Json::text(data))])
    }
}

bitflags::bitflags! {
    /// Sources that are wanted.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct SourceSet: u8 {
        const NONE = 1 << 0;
        const DEFAULT = 1 << 1;
        const TEMPORARY = 1 << 2;
        const LOCAL = 1 << 3;
        const INHERITED = 1 << 4;
        const RECEIVED = 1 << 5;
    }
}

impl SourceSet {
    /// The set of one source, by its name.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "local" => Self::LOCAL,
            "default" => Self::DEFAULT,
            "inherited" => Self::INHERITED,
            "received" => Self::RECEIVED,
            "temporary" => Self::TEMPORARY,
            "none" => Self::NONE,
            _ => return None,
        })
    }

    /// Whether a source is wanted.
    pub(crate) const fn wants(self, source: &Source) -> bool {
        self.contains(match source {
            Source::None => Self::NONE,
            Source::Default => Self::DEFAULT,
            Source::Local => Self::LOCAL,
            Source::Inherited(_) => Self::INHERITED,
            Source::Received => Self::RECEIVED,
        })
    }
}

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct GetRow<'a> {
    pub(crate) name: &'a str,
    pub(crate) property: &'a str,
    pub(crate) value: String,
    pub(crate) received: Option<String>,
    pub(crate) source: Source,
}

impl GetRow<'_> {
    /// The property as JSON has it.
    pub(crate) fn json(&self, as_int: bool) -> Json {
        let source = ShownSource(self.source.clone()).json(self.received.as_deref());
        Json::object([("value", Json::printed(&self.value, as_int)), ("source", source)])
    }
}

/// A table. Its headers are printed with the first row, so that what has no rows has no headers.
#[derive(Clone, Debug)]
pub(crate) struct GetTable {
    pub(crate) columns: Vec<GetColumn>,
    pub(crate) sources: SourceSet,
    /// For scripts: no headers, and tabs between columns.
    pub(crate) scripted: bool,
    pub(crate) name_width: usize,
    pub(crate) property_width: usize,
    pub(crate) value_width: usize,
    pub(crate) received_width: usize,
    pub(crate) has_begun: bool,
}

impl GetTable {
    /// A table whose columns are as wide as their headers.
    pub(crate) const fn new(columns: Vec<GetColumn>, sources: SourceSet, scripted: bool) -> Self {
        Self {
            columns,
            sources,
            scripted,
            name_width: GetColumn::Name.header().len(),
            property_width: GetColumn::Property.header().len(),
            value_width: GetColumn::Value.header().len(),
            received_width: GetColumn::Received.header().len(),
            has_begun: false,
        }
    }

    fn width(&self, column: GetColumn) -> usize {
        match column {
            GetColumn::Name => self.name_width,
            GetColumn::Property => self.property_width,
            GetColumn::Value => self.value_width,
            GetColumn::Received => self.received_width,
            // As wide as the longest name would need to be inherited from.
            GetColumn::Source if self.name_width > GetColumn::Name.header().len() => {
                self.name_width.saturating_add("inherited from".len())
            }
            GetColumn::Source => GetColumn::Source.header().len(),
        }
    }

    /// Prints a row, if its source is wanted.
    pub(crate) fn row(&mut self, out: &mut dyn Write, row: &GetRow<'_>) -> io::Result<()> {
        if !self.sources.wants(&row.source) {
            return Ok(());
        }
        if !self.has_begun {
            self.has_begun = true;
            if !self.scripted {
                self.cells(out, |column| column.header().to_owned())?;
            }
        }
        self.cells(out, |column| match column {
            GetColumn::Name => row.name.to_owned(),
            GetColumn::Property => row.property.to_owned(),
            GetColumn::Value => row.value.clone(),
            GetColumn::Received => row.received.clone().unwrap_or_else(|| "-".to_owned()),
            GetColumn::Source => ShownSource(row.source.clone()).text(),
        })
    }

    fn cells(&self, out: &mut dyn Write, cell: impl Fn(GetColumn) -> String) -> io::Result<()> {
        let last = self.columns.len().saturating_sub(1);
        for (index, column) in self.columns.iter().enumerate() {
            let (text, width) = (cell(*column), self.width(*column));
            match (index == last, self.scripted) {
                (true, _) => write!(out, "{text}")?,
                (false, true) => write!(out, "{text}\t")?,
                (false, false) => write!(out, "{text:<width$}  ")?,
            }
        }
        writeln!(out)
    }
}

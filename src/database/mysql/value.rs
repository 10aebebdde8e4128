//! Values and columns as the server gives them.

use mysql_async::{
    Params,
    consts::{ColumnFlags, ColumnType},
};

/// The number of the character set of what is no text.
const BINARY: u16 = 63;

/// A value of a row. Decimal numbers and times are texts, as the server writes them: `2026-03-01 09:00:00.5`.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Null,
    Integer(i64),
    /// Beyond the integers that have a sign.
    Unsigned(u64),
    Single(f32),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// What a column of an answer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `BOOLEAN` is another word for `TINYINT(1)`.
    Boolean,
    Integer,
    Decimal,
    Real,
    /// `BIT(1)`.
    Flag,
    Bits,
    /// A `TIMESTAMP`, which stands for an instant.
    Instant,
    /// A `DATETIME`, which does not.
    Moment,
    Date,
    Time,
    Text,
    /// An `ENUM` or a `SET`, which is ordered by its numbers and compared by its texts.
    Choice,
    Bytes,
    Json,
    /// A shape on a plane.
    Geometry,
}

/// A column of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// Digits behind the point, of a decimal number.
    pub decimals: u8,
    /// The schema, table and column that it is, where it is no expression.
    pub origin: [String; 3],
}

impl Kind {
    pub(super) fn of(column: &mysql_async::Column) -> Self {
        use ColumnType as T;
        let flags = column.flags();
        if flags.intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG) {
            return Self::Choice;
        }
        let is_one_digit = column.column_length() == 1;
        match column.column_type() {
            T::MYSQL_TYPE_TINY if is_one_digit && !flags.contains(ColumnFlags::UNSIGNED_FLAG) => Self::Boolean,
            T::MYSQL_TYPE_TINY
            | T::MYSQL_TYPE_SHORT
            | T::MYSQL_TYPE_INT24
            | T::MYSQL_TYPE_LONG
            | T::MYSQL_TYPE_LONGLONG
            | T::MYSQL_TYPE_YEAR => Self::Integer,
            T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL => Self::Decimal,
            T::MYSQL_TYPE_FLOAT | T::MYSQL_TYPE_DOUBLE => Self::Real,
            T::MYSQL_TYPE_BIT if is_one_digit => Self::Flag,
            T::MYSQL_TYPE_BIT => Self::Bits,
            T::MYSQL_TYPE_TIMESTAMP | T::MYSQL_TYPE_TIMESTAMP2 => Self::Instant,
            T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_DATETIME2 => Self::Moment,
            T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_NEWDATE => Self::Date,
            T::MYSQL_TYPE_TIME | T::MYSQL_TYPE_TIME2 => Self::Time,
            T::MYSQL_TYPE_ENUM | T::MYSQL_TYPE_SET => Self::Choice,
            T::MYSQL_TYPE_JSON => Self::Json,
            T::MYSQL_TYPE_GEOMETRY => Self::Geometry,
            T::MYSQL_TYPE_VECTOR => Self::Bytes,
            _ if column.character_set() == BINARY && column.column_type() != T::MYSQL_TYPE_NULL => Self::Bytes,
            _ => Self::Text,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Real => "float",
            Self::Flag | Self::Bits => "bit",
            Self::Instant => "timestamp",
            Self::Moment => "datetime",
            Self::Date => "date",
            Self::Time => "time",
            Self::Text => "text",
            Self::Choice => "enum",
            Self::Bytes => "binary",
            Self::Json => "json",
            Self::Geometry => "geometry",
        }
    }
}

impl Column {
    pub(super) fn of(column: &mysql_async::Column) -> Self {
        let origin = [column.schema_str(), column.org_table_str(), column.org_name_str()].map(|name| name.into_owned());
        Self { name: column.name_str().into_owned(), kind: Kind::of(column), decimals: column.decimals(), origin }
    }
}

pub(super) fn read(value: mysql_async::Value, kind: Kind) -> Value {
    use mysql_async::Value as V;
    match value {
        V::NULL => Value::Null,
        V::Bytes(bytes) => match kind {
            Kind::Flag | Kind::Bits => {
                Value::Unsigned(bytes.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))).slim()
            }
            Kind::Bytes | Kind::Geometry => Value::Bytes(bytes),
            // What is no UTF-8 is kept as what it is.
            _ => String::from_utf8(bytes).map_or_else(|error| Value::Bytes(error.into_bytes()), Value::Text),
        },
        V::Int(number) => Value::Integer(number),
        V::UInt(number) => Value::Unsigned(number).slim(),
        V::Float(number) => Value::Single(number),
        V::Double(number) => Value::Real(number),
        V::Date(year, month, day, ..) if kind == Kind::Date => Value::Text(format!("{year:04}-{month:02}-{day:02}")),
        V::Date(year, month, day, hour, minute, second, micros) => {
            Value::Text(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{}", fraction(micros)))
        }
        V::Time(negative, days, hours, minute, second, micros) => {
            let (sign, hours) = (if negative { "-" } else { "" }, days * 24 + u32::from(hours));
            Value::Text(format!("{sign}{hours:02}:{minute:02}:{second:02}{}", fraction(micros)))
        }
    }
}

impl Value {
    /// An integer has one form only, whatever the column says of signs.
    fn slim(self) -> Self {
        match self {
            Self::Unsigned(number) => i64::try_from(number).map_or(Self::Unsigned(number), Self::Integer),
            other => other,
        }
    }
}

fn fraction(micros: u32) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}").trim_end_matches('0').to_owned() }
}

pub(super) fn bound(values: &[Value]) -> Params {
    use mysql_async::Value as V;
    if values.is_empty() {
        return Params::Empty;
    }
    let one = |value: &Value| match value {
        Value::Null => V::NULL,
        Value::Integer(number) => V::Int(*number),
        Value::Unsigned(number) => V::UInt(*number),
        Value::Single(number) => V::Double(f64::from(*number)),
        Value::Real(number) => V::Double(*number),
        Value::Text(text) => V::Bytes(text.clone().into_bytes()),
        Value::Bytes(bytes) => V::Bytes(bytes.clone()),
    };
    Params::Positional(values.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use mysql_async::Value as V;

    use super::*;

    #[test]
    fn times_are_written_as_the_server_writes_them() {
        let text = |value, kind| match read(value, kind) {
            Value::Text(text) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(V::Date(2026, 3, 1, 9, 0, 0, 120_000), Kind::Moment), "2026-03-01 09:00:00.12");
        assert_eq!(text(V::Date(2026, 3, 1, 0, 0, 0, 0), Kind::Instant), "2026-03-01 00:00:00");
        assert_eq!(text(V::Date(2026, 3, 1, 0, 0, 0, 0), Kind::Date), "2026-03-01");
        assert_eq!(text(V::Date(0, 0, 0, 0, 0, 0, 0), Kind::Moment), "0000-00-00 00:00:00");
        assert_eq!(text(V::Time(true, 34, 22, 59, 59, 5), Kind::Time), "-838:59:59.000005");
    }

    #[test]
    fn bits_are_numbers_and_an_integer_has_one_form() {
        assert_eq!(read(V::Bytes(vec![1, 0]), Kind::Bits), Value::Integer(256));
        assert_eq!(read(V::UInt(7), Kind::Integer), Value::Integer(7));
        assert_eq!(read(V::UInt(u64::MAX), Kind::Integer), Value::Unsigned(u64::MAX));
    }
}

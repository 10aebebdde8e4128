//! A Parquet file on its way: one row group, column by column, put together in memory.

use std::sync::Arc;

use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    data_type::{
        BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
    },
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{Type, TypePtr},
};

use super::value::{Cell, NARROW_DIGITS, cell};
use crate::{
    config::plan::{ColumnKind, FileColumn},
    model::{Blame, Code, Fault, Fields, Reason},
    sink::file_form::by_name,
};

/// Rows by column. A row is in all of its columns or in none.
#[derive(Debug)]
pub struct Sheet {
    columns: Arc<[FileColumn]>,
    data: Vec<Data>,
    rows: usize,
}

/// The values of a column, and for each row whether there is one.
#[derive(Debug)]
struct Data {
    values: Values,
    present: Vec<i16>,
}

#[derive(Debug)]
enum Values {
    Bytes(Vec<ByteArray>),
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Double(Vec<f64>),
    Wide(Vec<FixedLenByteArray>),
}

impl Sheet {
    pub fn new(columns: Arc<[FileColumn]>) -> Self {
        let data = columns.iter().map(|column| Data { values: Values::of(column.kind), present: Vec::new() }).collect();
        Self { columns, data, rows: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds one record, or says why it cannot be written.
    pub fn push(&mut self, record: &Fields) -> Result<(), Reason> {
        let fields = by_name(record);
        let one = |column: &FileColumn| match fields.get(column.name.as_str()) {
            Some(value) => cell(value, column.kind).map_err(|why| {
                Reason::new(Code::ValueRefused, format!("column \"{}\" ({}): {why}", column.name, column.kind))
            }),
            None => Ok(None),
        };
        let row: Vec<Option<Cell>> = self.columns.iter().map(one).collect::<Result<_, _>>()?;
        for (data, cell) in self.data.iter_mut().zip(row) {
            data.present.push(i16::from(cell.is_some()));
            if let Some(cell) = cell {
                data.values.push(cell);
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// The file's bytes.
    pub fn finish(self) -> Result<Vec<u8>, Fault> {
        self.written().map_err(|error| {
            Fault::halt(Code::FileSink, Blame::Bug, format!("a Parquet file cannot be put together: {error}"))
                .help("Nothing of it was written, and what was committed is safe. Please report this.")
        })
    }

    fn written(self) -> Result<Vec<u8>, ParquetError> {
        let fields: Vec<TypePtr> =
            self.columns.iter().map(|column| Ok(Arc::new(declared(column)?))).collect::<Result<_, ParquetError>>()?;
        let schema = Type::group_type_builder("records").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("renkei ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
        let mut group = writer.next_row_group()?;
        for data in self.data {
            data.write(&mut group)?;
        }
        group.close()?;
        writer.into_inner()
    }
}

impl Values {
    fn of(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Text | ColumnKind::Json => Self::Bytes(Vec::new()),
            ColumnKind::Boolean => Self::Boolean(Vec::new()),
            ColumnKind::Double => Self::Double(Vec::new()),
            ColumnKind::Date => Self::Int32(Vec::new()),
            ColumnKind::Decimal(digits, _) if digits > NARROW_DIGITS => Self::Wide(Vec::new()),
            ColumnKind::BigInt | ColumnKind::Timestamp | ColumnKind::Decimal(..) => Self::Int64(Vec::new()),
        }
    }

    /// A cell is of its column's kind, because it was made for it.
    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Bytes(values), Cell::Bytes(value)) => values.push(value.into()),
            (Self::Boolean(values), Cell::Boolean(value)) => values.push(value),
            (Self::Int32(values), Cell::Int32(value)) => values.push(value),
            (Self::Int64(values), Cell::Int64(value)) => values.push(value),
            (Self::Double(values), Cell::Double(value)) => values.push(value),
            (Self::Wide(values), Cell::Wide(value)) => values.push(value.to_vec().into()),
            (values, cell) => debug_assert!(false, "{cell:?} is none of {values:?}"),
        }
    }
}

impl Data {
    fn write(&self, group: &mut SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<(), ParquetError> {
        let Some(mut column) = group.next_column()? else {
            return Err(ParquetError::General("a column is missing".to_owned()));
        };
        let present = Some(self.present.as_slice());
        match &self.values {
            Values::Bytes(values) => column.typed::<ByteArrayType>().write_batch(values, present, None)?,
            Values::Boolean(values) => column.typed::<BoolType>().write_batch(values, present, None)?,
            Values::Int32(values) => column.typed::<Int32Type>().write_batch(values, present, None)?,
            Values::Int64(values) => column.typed::<Int64Type>().write_batch(values, present, None)?,
            Values::Double(values) => column.typed::<DoubleType>().write_batch(values, present, None)?,
            Values::Wide(values) => column.typed::<FixedLenByteArrayType>().write_batch(values, present, None)?,
        };
        column.close()
    }
}

/// A column as the file declares it. None is required: a record may have any of its fields or not.
fn declared(column: &FileColumn) -> Result<Type, ParquetError> {
    let of = |physical, logical: Option<LogicalType>| {
        let builder = Type::primitive_type_builder(&column.name, physical).with_repetition(Repetition::OPTIONAL);
        builder.with_logical_type(logical)
    };
    match column.kind {
        ColumnKind::Text => of(Physical::BYTE_ARRAY, Some(LogicalType::String)),
        ColumnKind::Json => of(Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        ColumnKind::Boolean => of(Physical::BOOLEAN, None),
        ColumnKind::BigInt => of(Physical::INT64, None),
        ColumnKind::Double => of(Physical::DOUBLE, None),
        ColumnKind::Date => of(Physical::INT32, Some(LogicalType::Date)),
        ColumnKind::Timestamp => of(Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        ColumnKind::Decimal(digits, behind) => {
            let (precision, scale) = (i32::from(digits), i32::from(behind));
            let logical = Some(LogicalType::decimal(scale, precision));
            let builder = match digits > NARROW_DIGITS {
                true => of(Physical::FIXED_LEN_BYTE_ARRAY, logical).with_length(16),
                false => of(Physical::INT64, logical),
            };
            builder.with_precision(precision).with_scale(scale)
        }
    }
    .build()
}

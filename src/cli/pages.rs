//! The pages of `docs/errors/`, compiled in. The match is exhaustive, so a new code does not compile without its page.

use crate::model::Code;

/// The code's page, in Markdown.
pub fn page(code: Code) -> &'static str {
    match code {
        Code::ConfigFile => include_str!("../../docs/errors/RK0101.md"),
        Code::YamlSyntax => include_str!("../../docs/errors/RK0102.md"),
        Code::UnknownKey => include_str!("../../docs/errors/RK0103.md"),
        Code::DuplicateKey => include_str!("../../docs/errors/RK0104.md"),
        Code::WrongType => include_str!("../../docs/errors/RK0105.md"),
        Code::MissingKey => include_str!("../../docs/errors/RK0106.md"),
        Code::OutOfRange => include_str!("../../docs/errors/RK0107.md"),
        Code::UnknownName => include_str!("../../docs/errors/RK0108.md"),
        Code::MissingVariable => include_str!("../../docs/errors/RK0109.md"),
        Code::LiteralSecret => include_str!("../../docs/errors/RK0110.md"),
        Code::UnsafeRepeat => include_str!("../../docs/errors/RK0111.md"),
        Code::Expression => include_str!("../../docs/errors/RK0112.md"),
        Code::YamlBudget => include_str!("../../docs/errors/RK0113.md"),
        Code::Conflict => include_str!("../../docs/errors/RK0114.md"),
        Code::Workspace => include_str!("../../docs/errors/RK0115.md"),
        Code::BadPath => include_str!("../../docs/errors/RK0116.md"),
        Code::Unreachable => include_str!("../../docs/errors/RK0201.md"),
        Code::Tls => include_str!("../../docs/errors/RK0202.md"),
        Code::Timeout => include_str!("../../docs/errors/RK0203.md"),
        Code::Broken => include_str!("../../docs/errors/RK0204.md"),
        Code::Truncated => include_str!("../../docs/errors/RK0205.md"),
        Code::BodyTooLarge => include_str!("../../docs/errors/RK0206.md"),
        Code::Egress => include_str!("../../docs/errors/RK0207.md"),
        Code::Redirect => include_str!("../../docs/errors/RK0208.md"),
        Code::Throttled => include_str!("../../docs/errors/RK0209.md"),
        Code::ServerError => include_str!("../../docs/errors/RK0210.md"),
        Code::Refused => include_str!("../../docs/errors/RK0211.md"),
        Code::NotFound => include_str!("../../docs/errors/RK0212.md"),
        Code::QuotaWait => include_str!("../../docs/errors/RK0213.md"),
        Code::NotJson => include_str!("../../docs/errors/RK0301.md"),
        Code::NoRecords => include_str!("../../docs/errors/RK0302.md"),
        Code::PageLoop => include_str!("../../docs/errors/RK0303.md"),
        Code::EmptyPages => include_str!("../../docs/errors/RK0304.md"),
        Code::PageBudget => include_str!("../../docs/errors/RK0305.md"),
        Code::MissingRecordKey => include_str!("../../docs/errors/RK0306.md"),
        Code::BadCursor => include_str!("../../docs/errors/RK0307.md"),
        Code::OffsetCap => include_str!("../../docs/errors/RK0308.md"),
        Code::UnlikeCursor => include_str!("../../docs/errors/RK0309.md"),
        Code::NotAnObject => include_str!("../../docs/errors/RK0310.md"),
        Code::MovingListing => include_str!("../../docs/errors/RK0311.md"),
        Code::RecordRefused => include_str!("../../docs/errors/RK0401.md"),
        Code::Unanswered => include_str!("../../docs/errors/RK0402.md"),
        Code::StrangeAnswer => include_str!("../../docs/errors/RK0403.md"),
        Code::KeyExpired => include_str!("../../docs/errors/RK0404.md"),
        Code::KeyMismatch => include_str!("../../docs/errors/RK0405.md"),
        Code::ColumnConflict => include_str!("../../docs/errors/RK0406.md"),
        Code::Database => include_str!("../../docs/errors/RK0407.md"),
        Code::ValueRefused => include_str!("../../docs/errors/RK0408.md"),
        Code::FileSink => include_str!("../../docs/errors/RK0409.md"),
        Code::FileChanged => include_str!("../../docs/errors/RK0410.md"),
        Code::MissingSinkKey => include_str!("../../docs/errors/RK0411.md"),
        Code::BodyTemplate => include_str!("../../docs/errors/RK0412.md"),
        Code::ChangedCreate => include_str!("../../docs/errors/RK0413.md"),
        Code::AlreadyRunning => include_str!("../../docs/errors/RK0501.md"),
        Code::StoreDamaged => include_str!("../../docs/errors/RK0502.md"),
        Code::StoreWentBack => include_str!("../../docs/errors/RK0503.md"),
        Code::NewerFormat => include_str!("../../docs/errors/RK0504.md"),
        Code::DiskFull => include_str!("../../docs/errors/RK0505.md"),
        Code::ReadOnly => include_str!("../../docs/errors/RK0506.md"),
        Code::StoreIo => include_str!("../../docs/errors/RK0507.md"),
        Code::SealKey => include_str!("../../docs/errors/RK0508.md"),
        Code::StoreClosed => include_str!("../../docs/errors/RK0509.md"),
        Code::Unauthorized => include_str!("../../docs/errors/RK0601.md"),
        Code::Forbidden => include_str!("../../docs/errors/RK0602.md"),
        Code::TokenRefused => include_str!("../../docs/errors/RK0603.md"),
        Code::TokenAnswer => include_str!("../../docs/errors/RK0604.md"),
        Code::Evaluation => include_str!("../../docs/errors/RK0701.md"),
        Code::FuelSpent => include_str!("../../docs/errors/RK0702.md"),
        Code::Interrupted => include_str!("../../docs/errors/RK0801.md"),
        Code::Bug => include_str!("../../docs/errors/RK0899.md"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_begins_with_its_code_and_title_and_says_what_is_safe_and_what_to_do() {
        for code in Code::ALL {
            let page = page(*code);
            let head = format!("# {code}: {}\n\n", code.title());
            assert!(page.starts_with(&head), "docs/errors/{code}.md must begin with {head:?}");
            assert!(page.contains("\n## What is safe\n\n"), "{code}");
            assert!(page.contains("\n## What to do\n\n"), "{code}");
        }
    }
}

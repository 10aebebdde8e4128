//! The legal form in a company's name: 株式会社, (株), ㈱ and カ) are one. The signs are those that people and banks write before
//! or after a name; the first one that stands there is the form, and the rest of the name is left alone.

/// How the form is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// 株式会社
    Long,
    /// (株)
    Short,
    /// The name alone, to compare names.
    Without,
}

/// The form, its sign in brackets, and what banks write of it in kana, with a bracket toward the name only. Empty where the
/// kana could be either of two forms.
const FORMS: [(&str, &str, &str); 13] = [
    ("株式会社", "株", "カ"),
    ("有限会社", "有", "ユ"),
    ("合同会社", "同", "ド"),
    ("合名会社", "名", "メ"),
    ("合資会社", "資", "シ"),
    ("一般社団法人", "一社", ""),
    ("一般財団法人", "一財", ""),
    ("公益社団法人", "公社", ""),
    ("公益財団法人", "公財", ""),
    ("医療法人", "医", "イ"),
    ("学校法人", "学", "ガク"),
    ("社会福祉法人", "福", "フク"),
    ("特定非営利活動法人", "特非", "トクヒ"),
];

/// A name in the spelling that NFKC gives, with its form written so.
pub fn name(plain: &str, form: Form) -> String {
    let found = FORMS.iter().find_map(|of| Some((of, split(plain, of)?)));
    let Some(((long, short, _), (name, is_before))) = found else { return plain.to_owned() };
    let written = match form {
        Form::Long => (*long).to_owned(),
        Form::Short => format!("({short})"),
        Form::Without => String::new(),
    };
    if is_before { written + name } else { name.to_owned() + &written }
}

/// The name without the form, and whether the form stood before it. A form without a name is a name.
fn split<'n>(plain: &'n str, (long, short, kana): &(&str, &str, &str)) -> Option<(&'n str, bool)> {
    let brackets = format!("({short})");
    let bank = |sign: String| if kana.is_empty() { brackets.clone() } else { sign };
    let before = [*long, &brackets, &bank(format!("{kana})"))].iter().find_map(|sign| plain.strip_prefix(sign));
    let after = || [*long, &brackets, &bank(format!("({kana}"))].iter().find_map(|sign| plain.strip_suffix(sign));
    let (name, is_before) = before.map(|name| (name, true)).or_else(|| Some((after()?, false)))?;
    let name = name.trim();
    (!name.is_empty()).then_some((name, is_before))
}

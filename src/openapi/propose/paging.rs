//! How a listing goes on: told by the names of parameters and of the answer's fields. A parameter that takes a position is not
//! enough where the answer does not say where the next one stands.

use super::{
    super::{
        call::{BodyKind, Call, In, Parameter},
        schema::{Schema, Types},
        words::{folded, yaml},
    },
    records::{Scalar, scalars},
};

const TOKEN: [&str; 19] = [
    "cursor",
    "pagetoken",
    "nexttoken",
    "nextpagetoken",
    "startcursor",
    "nextcursor",
    "continuationtoken",
    "pagecursor",
    "pageafter",
    "after",
    "continuation",
    "marker",
    "bookmark",
    "scrollid",
    "paginationtoken",
    "pagingtoken",
    "next",
    "position",
    "exclusivestartkey",
];
const LAST: [&str; 3] = ["startingafter", "startafterid", "afterid"];
const PAGE: [&str; 8] = ["page", "pagenumber", "pageno", "pagenum", "pageindex", "currentpage", "p", "pagepage"];
const OFFSET: [&str; 7] = ["offset", "skip", "start", "startat", "startindex", "pageoffset", "from"];
const SIZE: [&str; 15] = [
    "limit",
    "perpage",
    "pagesize",
    "size",
    "count",
    "maxresults",
    "pagelimit",
    "top",
    "rows",
    "first",
    "numresults",
    "take",
    "itemsperpage",
    "resultsperpage",
    "max",
];
const NEXT: [&str; 20] = [
    "nextcursor",
    "nextpagetoken",
    "nexttoken",
    "pagingnextafter",
    "pagingcursorsafter",
    "nextpagecursor",
    "endcursor",
    "nextstartcursor",
    "continuationtoken",
    "nextmarker",
    "nextcontinuationtoken",
    "nextposition",
    "nextpageid",
    "pagetoken",
    "nextoffset",
    "scrollid",
    "nextafter",
    "cursorsafter",
    "cursorsnext",
    "nextbookmark",
];
const NEXT_URL: [&str; 7] =
    ["nexturl", "nextpageurl", "nextlink", "nextpageuri", "nextpagelink", "nexthref", "linksnext"];
const MORE: [&str; 7] = ["hasmore", "hasnext", "hasnextpage", "more", "hasmoreitems", "hasmoreresults", "ismore"];
const PAGES: [&str; 7] = ["totalpages", "pagecount", "pages", "lastpage", "totalpagecount", "pagetotal", "numpages"];
const TOTAL: [&str; 6] = ["total", "totalcount", "totalresults", "totalitems", "totalrecords", "totalsize"];

/// What is known without looking at the answer: the call takes a position.
pub fn takes_position(call: &Call<'_>) -> bool {
    let known = |name: &str| {
        let name = folded(name);
        [&TOKEN[..], &LAST, &PAGE, &OFFSET, &SIZE].iter().any(|names| names.contains(&name.as_str()))
    };
    let body = call.body.iter().filter(|_| call.method == "post").flat_map(|body| body.fields());
    call.query().any(|one| known(one.name)) || body.into_iter().any(|field| known(field.name))
}

/// How a listing goes on, in the words of a connector.
#[derive(Default)]
pub struct Paging {
    /// The value of `paginate`; nothing: one page is all.
    pub paginate: Option<String>,
    /// A parameter that asks for a page's size, and the size, where `paginate` does not say it.
    pub query: Option<(String, u64)>,
    /// Fields of a POST's JSON body.
    pub body: Vec<(String, String)>,
    /// What could not be told.
    pub notes: Vec<String>,
}

struct Look<'c, 'd> {
    call: &'c Call<'d>,
    scalars: Vec<Scalar<'d>>,
}

/// Tells how the listing of a call goes on.
pub fn tell<'d>(call: &Call<'d>, answer: &Schema<'d>, records: &str, key: &str) -> Paging {
    let look = Look { call, scalars: if records == "." { Vec::new() } else { scalars(answer) } };
    look.cursor()
        .or_else(|| look.last(key))
        .or_else(|| look.next_url())
        .or_else(|| look.link())
        .or_else(|| look.page())
        .or_else(|| look.offset())
        .unwrap_or_else(|| look.unknown())
}

impl<'d> Look<'_, 'd> {
    fn parameter(&self, names: &[&str]) -> Option<&Parameter<'d>> {
        names.iter().find_map(|name| self.call.query().find(|one| folded(one.name) == *name))
    }

    fn at(&self, names: &[&str], types: Types) -> Option<String> {
        let fits = |scalar: &&Scalar<'_>| scalar.schema.types().may_be(types);
        let exact = names.iter().find_map(|name| self.scalars.iter().filter(fits).find(|one| one.name() == *name));
        let ending = || {
            let long = names.iter().filter(|name| name.len() > 8);
            long.into_iter().find_map(|name| self.scalars.iter().filter(fits).find(|one| one.whole().ends_with(name)))
        };
        exact.or_else(ending).map(|scalar| scalar.path.clone())
    }

    /// A field that is not a URL.
    fn token(&self, parameter: &str) -> Option<String> {
        let parameter = folded(parameter);
        let texts = || {
            self.scalars
                .iter()
                .filter(|one| one.schema.types().may_be(Types::TEXT) || one.schema.types().may_be(Types::INTEGER))
        };
        let by = |fits: &dyn Fn(&Scalar<'_>) -> bool| {
            texts().find(|one| fits(one) && !is_url(one)).map(|one| one.path.clone())
        };
        let next = format!("next{parameter}");
        by(&|one| one.name() == next || one.whole().ends_with(&format!("next{parameter}")))
            .or_else(|| by(&|one| NEXT.iter().any(|name| one.name() == *name || one.whole().ends_with(name))))
            .or_else(|| by(&|one| one.name() == "next"))
            .or_else(|| by(&|one| one.name() == parameter))
            .or_else(|| by(&|one| matches!(one.name().as_str(), "cursor" | "after" | "marker")))
    }

    fn more(&self) -> String {
        self.at(&MORE, Types::BOOLEAN).map(|path| format!(", more: {}", yaml(&path))).unwrap_or_default()
    }

    fn size(&self) -> (Option<&Parameter<'d>>, Option<u64>) {
        let parameter = self.parameter(&SIZE).filter(|one| one.schema.types().may_be(Types::INTEGER));
        (parameter, parameter.and_then(|one| size_of(&one.schema, one.description)))
    }

    /// The size's parameter, for `query`.
    fn size_query(&self) -> Option<(String, u64)> {
        let (parameter, size) = self.size();
        Some((parameter?.name.to_owned(), size?))
    }

    fn cursor(&self) -> Option<Paging> {
        let text = |one: &&Parameter<'_>| one.schema.types().may_be(Types::TEXT);
        // A token may be called an offset, where it is a text.
        let odd = || self.parameter(&["offset", "start"]).filter(|one| one.schema.types().surely(Types::TEXT));
        let token = self.parameter(&TOKEN).filter(text).or_else(odd);
        if let Some(token) = token {
            let next = self.token(token.name)?;
            let paginate =
                format!("{{ cursor: {{ next: {}, query: {}{} }} }}", yaml(&next), yaml(token.name), self.more());
            return Some(Paging { paginate: Some(paginate), query: self.size_query(), ..Paging::default() });
        }
        self.cursor_in_body()
    }

    fn cursor_in_body(&self) -> Option<Paging> {
        let body = self.call.body.as_ref().filter(|body| self.call.method == "post" && body.kind == BodyKind::Json)?;
        let fields = body.fields();
        let token = fields.iter().find(|field| TOKEN.contains(&folded(field.name).as_str()))?;
        let next = self.token(token.name)?;
        let mut sent = vec![(token.name.to_owned(), "\"{{ page.token }}\"".to_owned())];
        let size = fields.iter().find(|field| SIZE.contains(&folded(field.name).as_str()));
        let size = size.and_then(|field| Some((field.name, size_of(&field.schema, field.schema.description())?)));
        sent.extend(size.map(|(name, size)| (name.to_owned(), size.to_string())));
        let paginate = Some(format!("{{ cursor: {{ next: {}{} }} }}", yaml(&next), self.more()));
        Some(Paging { paginate, body: sent, ..Paging::default() })
    }

    /// The position is the last record's key.
    fn last(&self, key: &str) -> Option<Paging> {
        let after = self.parameter(&LAST)?;
        let paginate = format!("{{ cursor: {{ last: {}, query: {}{} }} }}", yaml(key), yaml(after.name), self.more());
        Some(Paging { paginate: Some(paginate), query: self.size_query(), ..Paging::default() })
    }

    fn next_url(&self) -> Option<Paging> {
        let named = |one: &&Scalar<'_>| {
            let (name, whole) = (one.name(), one.whole());
            let told = NEXT_URL
                .iter()
                .any(|known| name == *known || whole.ends_with(known) || whole.ends_with("linksnexthref"));
            (told || (name == "next" && is_url(one))) && one.schema.types().may_be(Types::TEXT)
        };
        let next = self.scalars.iter().find(named)?;
        let paginate = format!("{{ next_url: {{ next: {} }} }}", yaml(&next.path));
        Some(Paging { paginate: Some(paginate), query: self.size_query(), ..Paging::default() })
    }

    fn link(&self) -> Option<Paging> {
        let answer = self.call.answer.as_ref()?;
        answer.headers.iter().find(|name| name.eq_ignore_ascii_case("link"))?;
        Some(Paging { paginate: Some("{ link: {} }".to_owned()), query: self.size_query(), ..Paging::default() })
    }

    fn page(&self) -> Option<Paging> {
        let page = self.parameter(&PAGE).filter(|one| one.schema.types().may_be(Types::INTEGER) && !one.deep)?;
        let first = match (page.schema.number("default"), page.schema.number("minimum")) {
            (Some(0), _) | (None, Some(0)) => ", first: 0",
            _ => "",
        };
        let (parameter, size) = self.size();
        let mut notes = Vec::new();
        let size = match (parameter, size) {
            (Some(one), Some(size)) => format!(", size: {{ query: {}, records: {size} }}", yaml(one.name)),
            (Some(_), None) => {
                notes.push("the largest page is not told: pages have the vendor's own size, and the listing ends at an empty one".to_owned());
                String::new()
            }
            (None, _) => String::new(),
        };
        let pages = self.at(&PAGES, Types::INTEGER).map(|path| format!(", total_pages: {}", yaml(&path)));
        let paginate = format!(
            "{{ page: {{ query: {}{first}{size}{}{} }} }}",
            yaml(page.name),
            self.more(),
            pages.unwrap_or_default()
        );
        Some(Paging { paginate: Some(paginate), notes, ..Paging::default() })
    }

    fn offset(&self) -> Option<Paging> {
        let offset = self.parameter(&OFFSET).filter(|one| one.schema.types().may_be(Types::INTEGER))?;
        let (parameter, size) = self.size();
        let parameter = parameter?;
        let mut notes = Vec::new();
        let size = size.unwrap_or_else(|| {
            notes.push(
                "the largest page is not told: 10 is a careful guess; a size that the vendor cuts down would end the listing early"
                    .to_owned(),
            );
            10
        });
        let total = self.at(&TOTAL, Types::INTEGER).map(|path| format!(", total: {}", yaml(&path))).unwrap_or_default();
        let paginate = format!(
            "{{ offset: {{ query: {}, size: {{ query: {}, records: {size} }}{total} }} }}",
            yaml(offset.name),
            yaml(parameter.name)
        );
        Some(Paging { paginate: Some(paginate), notes, ..Paging::default() })
    }

    fn unknown(&self) -> Paging {
        let mut paging = Paging { query: self.size_query(), ..Paging::default() };
        let token = self.parameter(&TOKEN).or_else(|| self.parameter(&OFFSET));
        paging.notes.push(match token {
            Some(_) => "it takes a position, and the answer does not say where the next one stands: only the first page is read".to_owned(),
            None if takes_position(self.call) => {
                "it takes a page's size and no position that was recognised: only the first page is read".to_owned()
            }
            None => "no pagination was recognised: one page is taken to be all".to_owned(),
        });
        paging
    }
}

fn is_url(scalar: &Scalar<'_>) -> bool {
    let format = scalar.schema.format();
    let words = scalar.schema.description().to_lowercase();
    let sample = scalar.schema.said("example").and_then(serde_json::Value::as_str).unwrap_or_default();
    matches!(format, "uri" | "url" | "uri-reference")
        || [" url", "url ", "uri", "link to"].iter().any(|word| words.contains(word))
        || sample.starts_with("http")
        || NEXT_URL.contains(&scalar.name().as_str())
}

/// The largest page, as far as the document tells it: a bound, words, or what is sent when nobody asks.
pub fn size_of(schema: &Schema<'_>, words: &str) -> Option<u64> {
    const LARGEST: u64 = 1000;
    let told = schema.number("maximum").or_else(|| told_in(words)).or_else(|| told_in(schema.description()));
    let size = told.or_else(|| schema.number("default"))?;
    (size >= 2).then_some(size.min(LARGEST))
}

/// "between 1 and 100", "maximum of 250", "up to 50".
fn told_in(words: &str) -> Option<u64> {
    let words = words.to_lowercase();
    let behind = |mark: &str| {
        let rest = &words[words.find(mark)? + mark.len()..];
        let digits = |c: char| c.is_ascii_digit();
        let start = rest.char_indices().take(24).find(|(_, c)| digits(*c))?.0;
        let number: String = rest[start..].chars().filter(|c| *c != ',').take_while(|c| digits(*c)).collect();
        number.parse().ok()
    };
    let between = words.find("between").and_then(|at| words[at..].find(" and ").map(|and| at + and));
    let number = between.and_then(|at| {
        let number: String = words[at + 5..].chars().take_while(char::is_ascii_digit).collect();
        number.parse().ok()
    });
    number.or_else(|| ["maximum", "max ", "max:", "up to ", "最大", "上限"].iter().find_map(|mark| behind(mark)))
}

/// Whether a query parameter is a credential, which `auth` sends.
pub fn is_credential(parameter: &Parameter<'_>) -> bool {
    let name = folded(parameter.name);
    matches!(parameter.place, In::Query | In::Header)
        && matches!(name.as_str(), "token" | "authorization" | "accesstoken" | "apikey" | "apitoken" | "xapikey")
}

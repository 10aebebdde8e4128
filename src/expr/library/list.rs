//! Filters of lists. Null and absent items are left out where a list is joined, summed, sorted or searched for its least.

use minijinja::{
    Environment, State,
    value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs, from_args},
};

use super::{Result, items_of, no_value, text_argument, text_of, too_large, trouble, type_name};
use crate::expr::{
    json::OUTPUT_BYTES_MAX,
    number::{Decimal, decimal, fits},
    ops::{get, ordering, same},
};

pub const FILTERS: &[&str] = &[
    "first", "last", "join", "map", "select", "reject", "where", "unique", "sort", "reverse", "sum", "min", "max",
    "list", "flatten", "compact",
];

pub fn add(language: &mut Environment<'static>) {
    language.add_filter("first", |value: &Value| each(value, |items| Ok(items.first().cloned().unwrap_or_default())));
    language.add_filter("last", |value: &Value| each(value, |items| Ok(items.last().cloned().unwrap_or_default())));
    language.add_filter("join", join);
    language.add_filter("map", map);
    language
        .add_filter("select", |state: &mut State, value: &Value, rest: Rest<Value>| pick(state, value, &rest, true));
    language
        .add_filter("reject", |state: &mut State, value: &Value, rest: Rest<Value>| pick(state, value, &rest, false));
    language.add_filter("where", keep_equal);
    language.add_filter("unique", |value: &Value| each(value, unique));
    language.add_filter("sort", sort);
    language.add_filter("reverse", reverse);
    language.add_filter("sum", |value: &Value, options: Kwargs| {
        let numbers = of_attribute(value, &options)?;
        options.assert_all_used()?;
        each(&numbers, |items| {
            let total = present(items).try_fold(Decimal::from(0), |total, item| {
                let number =
                    decimal(item).ok_or_else(|| trouble(format!("sum needs numbers, not {}", type_name(item))))?;
                total.plus(number).ok_or_else(|| trouble("the sum has more digits than a number can hold here"))
            })?;
            fits(Some(total))
        })
    });
    language.add_filter("min", |value: &Value, options: Kwargs| extreme(value, &options, std::cmp::Ordering::Less));
    language.add_filter("max", |value: &Value, options: Kwargs| extreme(value, &options, std::cmp::Ordering::Greater));
    language.add_filter("list", |value: &Value| {
        if value.kind() == ValueKind::Seq || no_value(value) { value.clone() } else { Value::from(vec![value.clone()]) }
    });
    language.add_filter("flatten", flatten);
    language.add_filter("compact", |value: &Value| each(value, |items| Ok(present(items).cloned().collect())));
}

/// Applies a function to the items; no list gives no value.
fn each(value: &Value, apply: impl FnOnce(&[Value]) -> Result) -> Result {
    if no_value(value) { Ok(value.clone()) } else { apply(&items_of(value)?) }
}

fn present(items: &[Value]) -> impl Iterator<Item = &Value> {
    items.iter().filter(|item| !no_value(item))
}

fn join(value: &Value, separator: Option<&str>) -> Result {
    each(value, |items| {
        let texts = present(items).map(text_of).collect::<Result<Vec<_>>>()?;
        let separator = separator.unwrap_or("");
        let bytes: usize = texts.iter().map(|text| text.len() + separator.len()).sum();
        if bytes > OUTPUT_BYTES_MAX { Err(too_large()) } else { Ok(Value::from(texts.join(separator))) }
    })
}

/// `map("lower")` applies a filter to each item, `map(attribute="id")` takes a field of each.
fn map(state: &mut State, value: &Value, arguments: Rest<ValueOrKwargs>) -> Result {
    let arguments = arguments.into_values();
    let (positional, options): (&[Value], Kwargs) = from_args(&arguments)?;
    if options.has("attribute") {
        let mapped = of_attribute(value, &options)?;
        options.assert_all_used()?;
        return Ok(mapped);
    }
    let Some((filter, rest)) = positional.split_first() else {
        return Err(trouble("map needs the name of a filter, or attribute=\"name\""));
    };
    let filter = known(filter, super::filters())?;
    each(value, |items| {
        let mut mapped = Vec::with_capacity(items.len());
        for item in items {
            let mut all = vec![item.clone()];
            all.extend_from_slice(rest);
            mapped.push(state.apply_filter(filter, &all)?);
        }
        Ok(Value::from(mapped))
    })
}

/// A name that is given as a text. One that is written in the expression was checked before; one that comes out of the
/// record must not get into a message.
fn known(name: &Value, mut all: impl Iterator<Item = &'static str>) -> Result<&str> {
    let name = text_argument(name, "name")?;
    if all.any(|known| known == name) { Ok(name) } else { Err(trouble("the name it is given is unknown")) }
}

/// The items themselves, or the field that `attribute="a.b"` names of each.
fn of_attribute(value: &Value, options: &Kwargs) -> Result {
    let Some(attribute) = options.get::<Option<&str>>("attribute")? else {
        return Ok(value.clone());
    };
    each(value, |items| {
        items.iter().map(|item| attribute_of(item, attribute)).collect::<Result<Vec<_>>>().map(Value::from)
    })
}

fn attribute_of(item: &Value, attribute: &str) -> Result {
    attribute.split('.').try_fold(item.clone(), |at, name| get(&at, &Value::from(name)))
}

fn pick(state: &mut State, value: &Value, arguments: &[Value], wanted: bool) -> Result {
    let Some((test, rest)) = arguments.split_first() else {
        return Err(trouble("needs the name of a test"));
    };
    let test = known(test, super::tests())?;
    each(value, |items| {
        let mut kept = Vec::new();
        for item in items {
            let mut all = vec![item.clone()];
            all.extend_from_slice(rest);
            if state.perform_test(test, &all)? == wanted {
                kept.push(item.clone());
            }
        }
        Ok(Value::from(kept))
    })
}

/// The objects of which a field equals a value.
fn keep_equal(value: &Value, attribute: &Value, wanted: &Value) -> Result {
    let attribute = text_argument(attribute, "attribute")?;
    each(value, |items| {
        let mut kept = Vec::new();
        for item in items {
            if same(&attribute_of(item, attribute)?, wanted)? {
                kept.push(item.clone());
            }
        }
        Ok(Value::from(kept))
    })
}

/// Each value once, where it stands first. Lists of mixed and nested values are compared one by one.
fn unique(items: &[Value]) -> Result {
    const COMPARED_ITEMS_MAX: usize = 2000;
    if items.len() > COMPARED_ITEMS_MAX {
        return Err(trouble("unique takes a list of 2,000 items at the most"));
    }
    let mut kept: Vec<Value> = Vec::new();
    'items: for item in items {
        for earlier in &kept {
            if same(earlier, item)? {
                continue 'items;
            }
        }
        kept.push(item.clone());
    }
    Ok(Value::from(kept))
}

fn sort(value: &Value, options: Kwargs) -> Result {
    let keys = of_attribute(value, &options)?;
    let descending = options.get::<Option<bool>>("reverse")?.unwrap_or(false);
    options.assert_all_used()?;
    each(value, |items| {
        let mut keyed: Vec<(Value, Value)> = items_of(&keys)?.into_iter().zip(items.iter().cloned()).collect();
        keyed.retain(|(key, _)| !no_value(key));
        if keyed.windows(2).any(|pair| ordering(&pair[0].0, &pair[1].0).is_none()) {
            return Err(trouble("sort needs only numbers or only texts"));
        }
        // All neighbours compare, so all are of one type and the order is total.
        keyed.sort_by(|(a, _), (b, _)| ordering(a, b).unwrap_or(std::cmp::Ordering::Equal));
        if descending {
            keyed.reverse();
        }
        Ok(keyed.into_iter().map(|(_, item)| item).collect())
    })
}

fn reverse(value: &Value) -> Result {
    if let Some(text) = value.as_str() {
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    each(value, |items| Ok(items.iter().rev().cloned().collect()))
}

fn extreme(value: &Value, options: &Kwargs, wanted: std::cmp::Ordering) -> Result {
    let candidates = of_attribute(value, options)?;
    options.assert_all_used()?;
    each(&candidates, |items| {
        let mut best: Option<&Value> = None;
        for item in present(items) {
            let better = match best {
                None => ordering(item, item).map(|_| true),
                Some(best) => ordering(item, best).map(|order| order == wanted),
            };
            match better {
                Some(true) => best = Some(item),
                Some(false) => {}
                None => return Err(trouble("min and max need only numbers or only texts")),
            }
        }
        Ok(best.cloned().unwrap_or_else(|| Value::from(())))
    })
}

/// One level of lists in the list becomes its items.
fn flatten(value: &Value) -> Result {
    each(value, |items| {
        let mut flat = Vec::new();
        for item in items {
            match item.kind() {
                ValueKind::Seq | ValueKind::Iterable => flat.extend(items_of(item)?),
                _ => flat.push(item.clone()),
            }
        }
        Ok(Value::from(flat))
    })
}

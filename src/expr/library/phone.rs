//! Phone numbers. The only file that knows `phonenumber`, which holds the numbering plans of all countries.

use minijinja::{Environment, value::Value};
use phonenumber::{Mode, country};

use super::{Result, japanese, no_value, text_argument, text_of, trouble};

pub const FILTERS: &[&str] = &["e164"];

/// No phone number that anybody writes is longer; E.164 has at most 15 digits.
const LENGTH_MAX: usize = 64;

pub fn add(language: &mut Environment<'static>) {
    language.add_filter("e164", e164);
}

/// `+81312345678` out of a number as people of a country write it, or of any with a plus. One that the country's plan does
/// not have is an error, because it would be a wrong number in the other system.
fn e164(value: &Value, region: Option<Value>) -> Result {
    let region: Option<country::Id> = match &region {
        Some(region) => {
            let name = text_argument(region, "country")?;
            Some(name.parse().map_err(|_| trouble("the country is two letters of ISO 3166, such as \"JP\""))?)
        }
        None => None,
    };
    if no_value(value) {
        return Ok(value.clone());
    }
    let text = text_of(value)?;
    let broken = || trouble("the text is no phone number of the country");
    if text.len() > LENGTH_MAX {
        return Err(broken());
    }
    // The library knows neither digits of full width nor the dashes that come with them.
    let plain = japanese::plain(&text).replace(japanese::is_dash, "-");
    let number = phonenumber::parse(region, plain).map_err(|_| broken())?;
    match phonenumber::is_valid(&number) {
        true => Ok(Value::from(number.format().mode(Mode::E164).to_string())),
        false => Err(broken()),
    }
}

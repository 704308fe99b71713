//! Checks of what callers send, before anything is decided.

use worker_types::{CreateWorker, Input, InputPart, Limits, RuntimeError};

use crate::{capability::conversation::is_base64, json_bounds::is_modest};

/// Parts of one input: a message with a picture for each of its sentences has fewer.
const MAX_PARTS: usize = 256;
const MAX_LABELS: usize = 32;
const MAX_LABEL_KEY_BYTES: usize = 63;
const MAX_LABEL_VALUE_BYTES: usize = 256;
const MAX_DISPLAY_NAME_BYTES: usize = 256;

pub(super) fn creation(request: &CreateWorker, limits: &Limits) -> Result<(), RuntimeError> {
    if let Some(name) = &request.display_name
        && (name.len() > MAX_DISPLAY_NAME_BYTES || name.chars().any(char::is_control))
    {
        return Err(invalid(format!(
            "a display name has at most {MAX_DISPLAY_NAME_BYTES} bytes and no control characters"
        )));
    }
    if request.labels.len() > MAX_LABELS {
        return Err(invalid(format!("a Worker has at most {MAX_LABELS} labels")));
    }
    for (key, value) in &request.labels {
        let key_fits = (1..=MAX_LABEL_KEY_BYTES).contains(&key.len());
        let clean = |text: &str| !text.chars().any(char::is_control);
        if !key_fits || value.len() > MAX_LABEL_VALUE_BYTES || !clean(key) || !clean(value) {
            return Err(invalid(format!(
                "a label's key has 1 to {MAX_LABEL_KEY_BYTES} bytes, its value at most \
                 {MAX_LABEL_VALUE_BYTES}, and neither has control characters"
            )));
        }
    }
    request.grants.validate().map_err(|error| invalid(error.to_string()))?;
    request.input.as_ref().map_or(Ok(()), |first| input(first, limits))
}

pub(super) fn input(input: &Input, limits: &Limits) -> Result<(), RuntimeError> {
    if input.is_empty() {
        return Err(invalid("an input says something: it has at least one part".to_owned()));
    }
    if input.len() as u64 > limits.item_bytes {
        return Err(RuntimeError::PayloadTooLarge {
            what: "the input".to_owned(),
            limit_bytes: limits.item_bytes,
        });
    }
    if input.parts.len() > MAX_PARTS {
        return Err(invalid(format!("an input has at most {MAX_PARTS} parts")));
    }
    for part in &input.parts {
        match part {
            InputPart::Text { .. } => {}
            InputPart::Json { json } if !is_modest(json) => {
                return Err(invalid(
                    "the JSON of a part nests too deep, or has too many values".to_owned(),
                ));
            }
            InputPart::Json { .. } => {}
            InputPart::Image { media_type, .. } if !media_type.starts_with("image/") => {
                return Err(invalid("the media type of an image starts with `image/`".to_owned()));
            }
            InputPart::Image { data, .. } if !is_base64(data) => {
                return Err(invalid("the data of an image is standard base64".to_owned()));
            }
            InputPart::Image { .. } => {}
        }
    }
    Ok(())
}

fn invalid(reason: String) -> RuntimeError {
    RuntimeError::InvalidInput { reason }
}

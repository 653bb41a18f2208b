//! Forms, read within bounds.

use std::{future::poll_fn, pin::Pin};

use axum::body::{Body, HttpBody};
use axum::extract::{Form, FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The largest form, in bytes. A login with every field at its limit fits.
pub const MAX_FORM_BYTES: usize = 16 * 1024;

/// A form of at most [`MAX_FORM_BYTES`]. axum's own keeps each part of a body with the 8 KiB that it was
/// read into: a client that sends byte by byte would make it hold 8,000 times as much.
pub struct BoundedForm<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for BoundedForm<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let (head, mut body) = request.into_parts();
        let mut form = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let frame = frame.map_err(|_| Error::BAD_FORM)?;
            form.extend_from_slice(&frame.into_data().unwrap_or_default());
            if form.len() > MAX_FORM_BYTES {
                return Err(Error::LARGE_FORM);
            }
        }
        let request = Request::from_parts(head, Body::from(form));
        let Form(fields) = Form::from_request(request, state)
            .await
            .map_err(|rejection| match rejection.status() {
                StatusCode::UNSUPPORTED_MEDIA_TYPE => Error::NO_FORM,
                StatusCode::UNPROCESSABLE_ENTITY => Error::ODD_FORM,
                _ => Error::BAD_FORM,
            })?;
        Ok(Self(fields))
    }
}

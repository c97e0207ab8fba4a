//! The approval PIN, for commands that need it only sometimes.

use clap::Args;
use mcpbridge_proto::v1::GetPinRequest;
use mcpbridge_proto::{Client, Fault, Reason};
use tonic::{Response, Status};

use crate::context::Context;
use crate::error::Failure;
use crate::input;

/// Where the PIN comes from.
#[derive(Args, Clone, Copy)]
pub struct PinArgs {
    /// Read the approval PIN from standard input, where it is needed
    #[arg(long)]
    pin_stdin: bool,
}

impl PinArgs {
    /// Whether standard input is for the PIN, and for nothing else.
    pub fn take_stdin(self) -> bool {
        self.pin_stdin
    }

    /// Sends a request, and once more with the PIN when it is refused without. What makes a policy
    /// stricter needs none, and only the daemon knows what does.
    pub async fn send<T>(
        self,
        context: &Context,
        client: &Client,
        request: impl AsyncFn(String) -> Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        let refusal = match request(String::new()).await {
            Ok(reply) => return Ok(reply.into_inner()),
            Err(status) => status,
        };
        let is_denied = Fault::from_status(&refusal).reason == Reason::Denied;
        if !is_denied || !is_set(client).await? {
            return Err(refusal.into());
        }
        if !self.pin_stdin && !context.printer.can_ask() {
            let hint =
                "there is no terminal to type it at; `--pin-stdin` reads it from standard input";
            return Err(Failure::from(refusal).hint(hint));
        }
        let pin = input::secret("approval PIN")?;
        Ok(request(pin).await?.into_inner())
    }
}

async fn is_set(client: &Client) -> Result<bool, Failure> {
    let pin = client.approvals().get_pin(GetPinRequest {}).await?;
    Ok(pin.into_inner().set_at != 0)
}

//! Links into the pages of `web`.

use mcpbridge_proto::v1::ui_server::Ui;
use mcpbridge_proto::v1::{CreateUiLinkRequest, CreateUiLinkResponse};
use tonic::{Request, Response, Status};

use super::{Control, status};

#[tonic::async_trait]
impl Ui for Control {
    async fn create_ui_link(
        &self,
        _request: Request<CreateUiLinkRequest>,
    ) -> Result<Response<CreateUiLinkResponse>, Status> {
        let link = self.sessions.new_link().map_err(status::of)?;
        let base_url = &self.facts.base_url;
        Ok(Response::new(CreateUiLinkResponse {
            url: format!("{base_url}/ui/open?code={}", link.code.expose()),
            expires_at: link.expires_at.as_second(),
        }))
    }
}

//! Keys of model APIs. They come in and never go out.

use mcpbridge_proto::v1::keys_server::Keys;
use mcpbridge_proto::v1::{
    KeyHolder, ListKeysRequest, ListKeysResponse, RemoveKeyRequest, RemoveKeyResponse,
    SetKeyRequest, SetKeyResponse, VendorInfo,
};
use tonic::{Request, Response, Status};

use super::{Control, decider, status};
use crate::types::{Secret, VendorName};
use crate::vendors::{Listed, Standing};

#[tonic::async_trait]
impl Keys for Control {
    async fn set_key(
        &self,
        request: Request<SetKeyRequest>,
    ) -> Result<Response<SetKeyResponse>, Status> {
        let by = decider(&request).await;
        let request = request.into_inner();
        let (name, key) = (vendor_name(&request.name)?, Secret::new(request.key));
        self.finish(async move |this| {
            let set = this.vendors.set_key(&name, key, &by).await;
            set.map_err(status::of)
        })
        .await?;
        Ok(Response::new(SetKeyResponse {}))
    }

    async fn list_keys(
        &self,
        _request: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        let vendors = self.vendors.list().into_iter().map(info).collect();
        Ok(Response::new(ListKeysResponse { vendors }))
    }

    async fn remove_key(
        &self,
        request: Request<RemoveKeyRequest>,
    ) -> Result<Response<RemoveKeyResponse>, Status> {
        let by = decider(&request).await;
        let name = vendor_name(&request.into_inner().name)?;
        self.finish(async move |this| {
            let removed = this.vendors.remove_key(&name, &by).await;
            removed.map_err(status::of)
        })
        .await?;
        Ok(Response::new(RemoveKeyResponse {}))
    }
}

fn vendor_name(text: &str) -> Result<VendorName, Status> {
    text.parse()
        .map_err(|error| status::invalid("name", &error))
}

fn info(listed: Listed) -> VendorInfo {
    let holder = match listed.standing {
        Standing::Client => KeyHolder::Client,
        Standing::Held => KeyHolder::Daemon,
        Standing::Moved => KeyHolder::OtherUrl,
        Standing::NotNeeded => KeyHolder::NotNeeded,
    };
    VendorInfo {
        name: listed.name.to_string(),
        api: listed.api.map_or("", |api| api.as_str()).to_owned(),
        url: listed.url,
        key: holder.into(),
        set_at: listed.set_at.unwrap_or_default(),
    }
}

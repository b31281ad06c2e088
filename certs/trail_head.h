#pragma once

// The head of an audit trail, signed by the trail's owner and kept by the other side: whoever wrote
// his trail anew afterwards could not bring it to the same head.

#include "certs/signed.h"
#include "common/audit/trail.h"

namespace consilium {

// With the signer's chain in it.
StatusOr<v1::SignedHead> SignHead(const TrailHead& head, const Signer& signer);

// The head, if the certificate's key has signed it; PERMISSION_DENIED or INVALID_ARGUMENT
// otherwise. Whether the certificate is to be trusted is VerifyChain's to say.
StatusOr<TrailHead> CheckHead(const v1::SignedHead& message, const Certificate& certificate);

// Whether one side's trail has every head that the other side's trail says it signed: entries of
// the kind `event` in `holder`, whose "head" was that of `owner` after "entries" entries. `site`
// names whose heads are meant where a holder has those of several; empty: all. Gives how many heads
// agree. DATA_LOSS names the first that does not.
StatusOr<int> CompareTrails(const std::filesystem::path& holder, std::string_view event,
                            std::string_view site, const std::filesystem::path& owner);

}  // namespace consilium

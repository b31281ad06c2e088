#pragma once

// The objects that are taken from a PACS, and how they and their senders are named.

#include <dcmtk/config/osconfig.h>
// DCMTK wants the line above first.
#include <dcmtk/dcmnet/scu.h>

#include <string>
#include <vector>

#include "client/pacs/sender.h"

namespace consilium {

inline constexpr std::size_t kLongestTitle = 16;
bool IsTitle(const std::string& title);  // of an application entity

// As UIDs are written (PS3.5, chapter 9), so that one can be part of a file's name.
bool IsUid(const std::string& uid);

// SOP classes of images: CR, DX, CT and secondary captures.
std::vector<const char*> ImageClasses();

// Those that consilium-dicom decodes.
OFList<OFString> TransferSyntaxes();

// Whom to call and as whom, and that nobody is waited for without end.
void SetPeer(DcmSCU& scu, const Peer& peer, const std::string& own_ae_title);

}  // namespace consilium

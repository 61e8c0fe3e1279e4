//! The lines for records.

use std::io::{self, Write};

use crate::record::{Begin, CryptParameters, MAGIC, Record, Write as WriteRecord};

pub(super) fn begin(begin: &Begin, output: &mut impl Write) -> io::Result<()> {
    writeln!(output, "BEGIN record")?;
    writeln!(output, "\thdrtype = {}", begin.version_info.header_type().id())?;
    writeln!(output, "\tfeatures = {:x}", begin.features().bits())?;
    writeln!(output, "\tmagic = {MAGIC:x}")?;
    writeln!(output, "\tcreation_time = {:x}", begin.creation_time)?;
    writeln!(output, "\ttype = {}", begin.objset_type.0)?;
    writeln!(output, "\tflags = 0x{:x}", begin.flags.bits())?;
    writeln!(output, "\ttoguid = {:x}", begin.to_guid)?;
    writeln!(output, "\tfromguid = {:x}", begin.from_guid)?;
    output.write_all(b"\ttoname = ")?;
    output.write_all(begin.to_name.as_bytes())?;
    writeln!(output, "\n\tpayloadlen = {}", begin.payload_length)
}

/// The line of any record but BEGIN and END.
pub(super) fn record(record: &Record, output: &mut impl Write) -> io::Result<()> {
    match record {
        Record::Begin(_) | Record::End(_) => Ok(()),
        Record::Object(object) => writeln!(
            output,
            "OBJECT object = {} type = {} bonustype = {} blksz = {} bonuslen = {} dn_slots = {} \
             raw_bonuslen = {} flags = {} maxblkid = {} indblkshift = {} nlevels = {} nblkptr = {}",
            object.object,
            object.object_type.0,
            object.bonus_type.0,
            object.block_size,
            object.bonus_length,
            object.dnode_slots,
            object.raw_bonus_length,
            object.flags.bits(),
            object.max_block_id,
            object.indirect_block_shift,
            object.levels,
            object.block_pointers,
        ),
        Record::FreeObjects(free) => writeln!(
            output,
            "FREEOBJECTS firstobj = {} numobjs = {}",
            free.first_object, free.object_count
        ),
        Record::Write(write) => write_line(write, output),
        Record::WriteByRef(write) => writeln!(
            output,
            "WRITE_BYREF object = {} checksum type = {} props = {:x} offset = {} length = {} \
             toguid = {:x} refguid = {:x} refobject = {} refoffset = {}",
            write.object,
            write.checksum.0,
            write.key.properties,
            write.offset,
            write.length,
            write.to_guid,
            write.ref_guid,
            write.ref_object,
            write.ref_offset,
        ),
        Record::Free(free) => writeln!(
            output,
            "FREE object = {} offset = {} length = {}",
            free.object,
            free.offset,
            free.length.cast_signed()
        ),
        Record::Spill(spill) => {
            write!(
                output,
                "SPILL block for object = {} length = {} flags = {} compression type = {} \
                 compressed_size = {} payload_size = {} ",
                spill.object,
                spill.length,
                spill.flags.bits(),
                spill.compression.0,
                spill.compressed_size,
                spill.payload_length(),
            )?;
            crypt(&spill.crypt, output)
        }
        Record::WriteEmbedded(write) => writeln!(
            output,
            "WRITE_EMBEDDED object = {} offset = {} length = {} toguid = {:x} comp = {} etype = {} \
             lsize = {} psize = {}",
            write.object,
            write.offset,
            write.length,
            write.to_guid,
            write.compression.0,
            write.embedded_type.0,
            write.logical_size,
            write.physical_size,
        ),
        Record::ObjectRange(range) => {
            write!(
                output,
                "OBJECT_RANGE firstobj = {} numslots = {} flags = {} ",
                range.first_object,
                range.slot_count,
                range.flags.bits()
            )?;
            crypt(&range.crypt, output)
        }
        Record::Redact(redact) => writeln!(
            output,
            "REDACT object = {} offset = {} length = {}",
            redact.object, redact.offset, redact.length
        ),
    }
}

fn write_line(write: &WriteRecord, output: &mut impl Write) -> io::Result<()> {
    write!(
        output,
        "WRITE object = {} type = {} checksum type = {} compression type = {} flags = {} offset = {} \
         logical_size = {} compressed_size = {} payload_size = {} props = {:x} ",
        write.object,
        write.object_type.0,
        write.checksum.0,
        write.compression.0,
        write.flags.bits(),
        write.offset,
        write.logical_size,
        write.compressed_size,
        write.payload_length(),
        write.key.properties,
    )?;
    crypt(&write.crypt, output)
}

/// The end of the line of a record that may be encrypted.
fn crypt(crypt: &CryptParameters, output: &mut impl Write) -> io::Result<()> {
    let CryptParameters { salt, iv, mac } = crypt;
    for (name, bytes) in [("salt", &salt[..]), (" iv", &iv[..]), (" mac", &mac[..])] {
        write!(output, "{name} = ")?;
        for byte in bytes {
            write!(output, "{byte:02x}")?;
        }
    }
    writeln!(output)
}

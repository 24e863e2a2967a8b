//! Weights in the form that candle computes quickest.
//!
//! For blocks of the type Q4_1, which the file of SmolLM2 has, candle's inner loop is a plain one;
//! for Q8_0 it uses the processor's vectors. So Q4_1 is read as Q8_0: half as large again, twice
//! as quick for prompts, and as good as the same numbers, since eight bits hold what four did.

use std::io::Cursor;

use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Result};

/// The same GGUF file, with Q8_0 in the place of Q4_1.
pub(super) fn in_quick_blocks(gguf: &[u8]) -> Result<Vec<u8>> {
    let mut reader = Cursor::new(gguf);
    let content = Content::read(&mut reader)?;
    let mut tensors = Vec::with_capacity(content.tensor_infos.len());
    for name in content.tensor_infos.keys() {
        let tensor = content.tensor(&mut reader, name, &Device::Cpu)?;
        tensors.push((&name[..], quick(tensor)?));
    }
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, t)| (*name, t)).collect();
    let metadata: Vec<(&str, &Value)> =
        content.metadata.iter().map(|(key, value)| (&key[..], value)).collect();
    let mut quick = Cursor::new(Vec::new());
    gguf_file::write(&mut quick, &metadata, &tensors)?;
    Ok(quick.into_inner())
}

fn quick(tensor: QTensor) -> Result<QTensor> {
    match tensor.dtype() {
        GgmlDType::Q4_1 => QTensor::quantize(&tensor.dequantize(&Device::Cpu)?, GgmlDType::Q8_0),
        _ => Ok(tensor),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::*;

    #[test]
    fn the_numbers_stay_and_so_does_what_is_quick_already() -> Result<()> {
        let numbers = Tensor::arange(0f32, 64., &Device::Cpu)?.reshape((2, 32))?;
        let slow = QTensor::quantize(&numbers, GgmlDType::Q4_1)?;
        let kept = QTensor::quantize(&numbers, GgmlDType::F32)?;
        let named = Value::String("a model".to_owned());
        let mut gguf = Cursor::new(Vec::new());
        gguf_file::write(&mut gguf, &[("name", &named)], &[("slow", &slow), ("kept", &kept)])?;

        let quick = in_quick_blocks(gguf.get_ref())?;
        let mut reader = Cursor::new(&quick);
        let content = Content::read(&mut reader)?;
        assert_eq!(content.metadata["name"].to_string()?, "a model");
        assert_eq!(content.tensor_infos["slow"].ggml_dtype, GgmlDType::Q8_0);
        assert_eq!(content.tensor_infos["kept"].ggml_dtype, GgmlDType::F32);
        let read = content.tensor(&mut reader, "slow", &Device::Cpu)?.dequantize(&Device::Cpu)?;
        let apart =
            (read - slow.dequantize(&Device::Cpu)?)?.abs()?.max_all()?.to_scalar::<f32>()?;
        // Half a step of eight bits, at up to 63.
        assert!(apart <= 63.0 / 127.0 / 2.0 + 0.01, "{apart}");
        Ok(())
    }
}

"""An integer model of the Fixed Ratio Trading program, written from CONTRACT.md alone.

Pure Python and the standard library only, so that an agreement with the on-chain program means something.
"""

from tests.support.contract_model.model import ContractModel
from tests.support.contract_model.runtime import Instruction, Meta
from tests.support.contract_model.state import Account

__all__ = ["Account", "ContractModel", "Instruction", "Meta"]
